import structlog,logging
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
from tests.chaos.lives.machine import GrantMachine, Ask, LINES, Outside
from tests.chaos.lives.running import _scripted
from tests.chaos.lives.scene import crashing
def test_x(drive):
    with crashing() as crash:
        B=type("B",(GrantMachine,),{"drive":drive,"crash":crash,"benefits":_scripted(drive)})
        s=B()
        s.begin(lines=LINES[:1],stock=(None,None),per_user=None,per_day=None,budget=None,prepares=False,outside=Outside(True,True))
        s.visit(who=0, assets_known=True)
        # the call is lost; then a look-up is overtaken by a newer attempt whose own look-up says nothing
        s.settle(which=0, script=(Ask("lost"),), late=False)
        s.settle(which=0, script=(Ask(looked_up="honest", meanwhile="newer"), Ask(looked_up="unclear"), Ask("granted")), late=False)
        s.all_is_as_on_paper()
