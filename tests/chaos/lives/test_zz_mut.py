"""Mutations by hand."""
import pytest
from sqlalchemy import text
from tests.chaos.lives import running
import structlog,logging
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

def sqlmut(drive, name, old, new):
    d=drive.value(f"SELECT pg_get_functiondef('{name}'::regproc)")
    assert old in d, d
    with drive.runtime.engine.begin() as c: c.exec_driver_sql(d.replace(old,new).replace("%","%%"))

def m_none(drive, mp): pass
def m_stock(drive, mp):
    with drive.runtime.engine.begin() as c:
        c.exec_driver_sql("ALTER TABLE benefit DROP CONSTRAINT IF EXISTS ck_benefit_remaining")
    sqlmut(drive,"tactics_grant_benefit","(remaining IS NULL OR remaining >= p_needed[n])","true")
def m_open(drive, mp): sqlmut(drive,"tactics_grant_benefit","IF v_open IS NOT NULL THEN","IF false THEN")
def m_unknown_count(drive, mp): sqlmut(drive,"tactics_grant_benefit","CASE WHEN p_assets_unknown THEN 1 ELSE v_highest + 1 END","v_highest + 1")
def m_refused_counts(drive, mp): sqlmut(drive,"tactics_grant_benefit","count(*) FILTER (WHERE state <> 'refused')","count(*)")
def m_expire(drive, mp): sqlmut(drive,"tactics_grant_benefit","FILTER (WHERE valid_until > p_at)","FILTER (WHERE true)")
def m_take_back(drive, mp):
    from tactics.store import settlements
    mp.setattr(settlements,"take_back",lambda c,o: None)
def m_no_state_fence(drive, mp):
    from tactics.store.outside_grants import OutsideGrant
    mp.setattr(OutsideGrant,"open",property(lambda s: True))
def m_stale_settles(drive, mp):
    from tactics.store import outside_grants as og
    import tactics.flows.settle as fs
    real=og.find
    # the attempt check off
    class Any(int):
        def __eq__(s,o): return True
        def __ne__(s,o): return False
        __hash__=int.__hash__
    from dataclasses import replace
    mp.setattr(fs.outside_grants,"find",lambda c,g:(lambda o: o and replace(o,attempts=Any(o.attempts)))(real(c,g)))
def m_repeat_always(drive, mp):
    import tactics.flows.settle as fs
    import tactics.domain.settlement as ds
    mp.setattr(fs,"may_repeat",lambda *a: True)
    mp.setattr(ds,"may_repeat",lambda *a: True)
def m_no_call_note(drive, mp):
    # parked counted as refused: a timeout frees the reservation
    import tactics.settling as s
    mp.setattr(s,"park",lambda conn,one,reason: s.refuse(conn,one,reason,outcome="refused"))
def m_not_sent_counts(drive, mp):
    from tactics.store import outside_grants as og
    from dataclasses import replace
    real=og.end_attempt
    mp.setattr(og,"end_attempt",lambda c,o,n,a: real(c,o,n,replace(a,kind="unclear") if a.kind=="not_sent" else a))
def m_release_no_exempt(drive, mp):
    from tactics.store import grants
    real=grants.set_usable
    mp.setattr(grants,"set_usable",lambda c,u,g,*,usable,released=False: real(c,u,g,usable=usable))
def m_overtaken(drive, mp):
    import tactics.granting as g
    mp.setattr(g,"_overtaken",lambda *a: False)
def m_close_execution(drive, mp):
    from tactics.store import settlements
    mp.setattr(settlements,"close_execution",lambda *a: None)
def m_commit_early(drive, mp):
    # the grant commits before the end of the segment
    from tactics.store import grants
    real=grants.give
    def give(conn,*a):
        x=real(conn,*a); conn.commit(); return x
    mp.setattr(grants,"give",give)
def m_rebuild_off(drive, mp):
    import tactics.opening as o
    mp.setattr(o,"rebuild_prepared",lambda *a, **k: None)
WANT="m_overtaken m_release_no_exempt".split()
ALL=[v for k,v in list(globals().items()) if k in WANT]
@pytest.mark.parametrize("m",ALL,ids=[m.__name__ for m in ALL])
def test_m(drive, monkeypatch, m):
    m(drive, monkeypatch)
    import time
    t=time.time()
    try:
        running.run_machine(drive, examples=100, shrink=m is m_none)
    except BaseException as e:
        print("\n".join(getattr(e,"__notes__",[])[-40:])) if m is m_none else 0
        print("\nCAUGHT", m.__name__, round(time.time()-t,1), type(e).__name__, str(e)[:150].replace("\n"," "))
    else:
        print("\nMISSED", m.__name__, round(time.time()-t,1))
