import os, traceback
from tests.malformed.test_answers import *
from tests.malformed.test_answers import _with_one_wrong_answer, _copy


def test_explore(recorded):
    import time

    t = time.time()
    bad = {}
    n = 0
    lo = int(os.environ.get("LO", "0"))
    while time.time() - t < float(os.environ.get("SECS", "200")):
        try:
            _with_one_wrong_answer(recorded, lo + n)
        except BaseException as e:
            tb = traceback.extract_tb(e.__traceback__)
            key = (type(e).__name__, str(tb[-1])[:150])
            if key not in bad:
                bad[key] = (
                    lo + n,
                    str(e)[-600:],
                    [f"{x.filename[-40:]}:{x.lineno}" for x in tb[-6:]],
                )
        n += 1
    print("N", n, time.time() - t)
    for k, v in bad.items():
        print("BAD", k, v, "\n")
