#!/usr/bin/env python3
"""Showrunner as one of the queue peers: speaks the protocol of their driver on stdin and stdout.

One job of N noop units in a partition each, with a barrier over all of them; the clock runs from the start of
`showrunner job submit` to the moment the store notes as the job's end. For latency, one step's units end at 200 a second and
make the next step's ready: what is written to PEER_LAT_FILE is the time from such an end to the start it allowed.
"""
import json, os, shutil, signal, subprocess, sys, time
from pathlib import Path

BINARY = os.environ["SHOWRUNNER_BINARY"]
DIR = Path(os.environ["PEER_DATA"]) / "showrunner"
ENV = {**os.environ, "HOME": str(DIR), "SHOWRUNNER_DATA": str(DIR / "state"),
       "SHOWRUNNER_DATABASE": os.environ["PEER_PG_URL"] + "?sslmode=disable", "SHOWRUNNER_REDIS": os.environ["PEER_REDIS_URL"]}
BULK = "  - id: work\n    noop: { duration: 0ms }\n  - id: all\n    needs: [work]\n    barrier: { scope: job, require: all }\n"
PAIRS = "  - id: before\n    noop: { duration: 0ms..%s }\n  - id: after\n    needs: [before]\n    noop: { duration: 0ms }\n"


def say(**event):
    print("@@ " + json.dumps(event), flush=True)


def start(args, **more):
    return subprocess.Popen([BINARY, *args], env={**ENV, **more}, cwd=DIR, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def ask(*args):
    return subprocess.run([BINARY, *args], env=ENV, cwd=DIR, check=True, capture_output=True, text=True).stdout.strip()


def start_workers(slots, log=False):
    more = lambda n: {"SHOWRUNNER_REHEARSAL_LOG": str(DIR / f"{n}.log")} if log else {}
    return [start(["worker", "--slots", f"noop={slots},transfer=0,qc=0,sync=0"], **more(n)) for n in range(2)]


def stop(processes):
    for p in processes:
        p.send_signal(signal.SIGTERM)
    for p in processes:
        p.wait(30)


def write_job(name, units, steps):
    with open(DIR / f"{name}.csv", "w") as rows:
        rows.write("asset,title,role,location\n")
        for n in range(units):
            rows.write(f"asset-{n:08},title-{n // 10:07},master,media/asset-{n:08}.mov\n")
    head = f"job: {name}\nlibrary: {{ manifest: {name}.csv }}\npartition: {{ max_assets: 1 }}\nsteps:\n"
    (DIR / f"{name}.yaml").write_text(head + steps)


def run(name, units):
    began = time.time()
    job = ask("job", "submit", f"{name}.yaml", "-o", "name", "-q")
    account = json.loads(ask("job", "wait", job, "--timeout", "20m", "-o", "json", "-q"))
    query = f"SELECT ended_at FROM job WHERE id = '{job}'"
    ended = subprocess.run(["psql", os.environ["PEER_PG_URL"], "-Atc", query], check=True, capture_output=True, text=True).stdout
    return account, int(ended) / 1e6 - began


def bulk(units):
    write_job("bulk", units, BULK)
    account, seconds = run("bulk", units)
    released = account["barriers"][0]["released"]
    say(ev="done", n=units, total_s=seconds, ok=account["units"]["succeeded"], barrier=f"{released} released")


def latency(rate, seconds):
    workers = start_workers(1500, log=True)
    time.sleep(2)
    write_job("latency", rate * seconds, PAIRS % f"{seconds}s")
    run("latency", rate * seconds)
    ended, started = {}, {}
    for line in "".join((DIR / f"{n}.log").read_text() for n in range(2)).splitlines():
        unit, _, _, _, event, at = line.split()
        job, step, part = unit.split("/")[-3:]
        if (step, event) == ("0", "end"):
            ended[part] = int(at)
        elif (step, event) == ("1", "start"):
            started[part] = int(at)
    with open(os.environ["PEER_LAT_FILE"], "a") as out:
        out.writelines(f"{at - ended[part]}\n" for part, at in started.items())
    stop(workers)
    say(ev="latdone")


def main():
    shutil.rmtree(DIR, ignore_errors=True)
    DIR.mkdir(parents=True)
    coordinator, workers = start(["coordinator", "--listen", "127.0.0.1:0"]), start_workers(1024)
    write_job("warm", 200, BULK)
    run("warm", 200)
    say(ev="ready")
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["bulk"]:
            bulk(int(words[1]))
        elif words[:1] == ["latency"]:
            stop(workers)
            workers = []
            latency(int(words[1]), int(words[2]))
        elif words[:1] == ["exit"]:
            break
    stop([*workers, coordinator])


main()
