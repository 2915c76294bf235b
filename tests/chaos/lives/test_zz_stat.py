import collections
from tests.chaos.lives import machine, paper
C=collections.Counter()
o=machine.GrantMachine._hears
def h(self,key,part,expected):
    C[part.get("outcome") or part["reason"]]+=1
    return o(self,key,part,expected)
machine.GrantMachine._hears=h
oa=paper.Attempt._apply
def a(self,k,s):
    was=self.made.state
    x=oa(self,k,s); C[k,s,was,self.made.state]+=1; return x
paper.Attempt._apply=a
def test_x(drive):
    from tests.chaos.lives.running import run_machine
    import time
    t=time.time()
    import structlog,logging
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    run_machine(drive, examples=400)
    for k,v in C.most_common(): print(v,k)
    print(time.time()-t)
