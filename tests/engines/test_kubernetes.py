#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""host/engines/kubernetes: the manifests are read, and what a cluster would do with them is done to
the real program: pods drained, lost and killed, an input that is damaged, an output in use.

--venv DIR also holds the manifests to the schemas of Kubernetes' API, with the PyPI package
kubernetes-validate, which is installed there."""
import fcntl
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import catalogs  # noqa: E402
import kubelet  # noqa: E402
import packages  # noqa: E402
import yaml_subset  # noqa: E402
from catalogs import TINY_MODEL, e2e  # noqa: E402

DIRECTORY = os.path.join(catalogs.ENGINES, "kubernetes")
# How a pod of `label` ended, and what is to come of it.
WANTED = {1: kubelet.FAIL_INDEX, 2: kubelet.FAIL_INDEX, 3: kubelet.FAIL_INDEX, 4: kubelet.COUNT,
          5: kubelet.COUNT, 6: kubelet.FAIL_INDEX, 75: kubelet.IGNORE, 137: kubelet.COUNT,
          139: kubelet.COUNT, 143: kubelet.COUNT}


def manifest(t, name, change=lambda text: text):
    text = change(e2e.read(os.path.join(DIRECTORY, name)).decode())
    value = yaml_subset.parse(text)
    try:
        import yaml
        t.equal("%s: PyYAML reads the same" % name, value, yaml.safe_load(text))
    except ImportError:
        print("      no PyYAML to compare with")
    return value


def test_manifest(t, name, label):
    """What the API server would refuse, or never do."""
    job = manifest(t, name)
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    t.equal("%s: a Job" % name, (job["apiVersion"], job["kind"]), ("batch/v1", "Job"))
    containers = pod["containers"] + pod.get("initContainers", [])
    names = [c["name"] for c in containers]
    t.equal("%s: a policy wants pods that are not restarted" % name, pod["restartPolicy"], "Never")
    t.check("%s: not as root" % name, pod["securityContext"]["runAsNonRoot"] and
            pod["securityContext"]["runAsUser"] > 0)
    volumes = {v["name"] for v in pod["volumes"]}
    for c in containers:
        t.check("%s: %s mounts volumes that are there" % (name, c["name"]),
                {m["name"] for m in c["volumeMounts"]} <= volumes)
        t.check("%s: %s writes to those alone" % (name, c["name"]),
                c["securityContext"]["readOnlyRootFilesystem"] and
                not c["securityContext"]["allowPrivilegeEscalation"])
    for rule in spec["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes", {"values": [1], "containerName": names[0]})
        t.check("%s: %s of %s: in order, once each, of a container" % (
            name, rule["action"], codes["values"]), codes["containerName"] in names and
            0 not in codes["values"] and sorted(set(codes["values"])) == codes["values"])
    if label:
        env = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
        t.equal("as many shares as pods", (spec["completionMode"], env["WADER_SHARDS"]),
                ("Indexed", str(spec["completions"])))
        for code, wanted in WANTED.items():
            t.equal("exit code %d" % code, kubelet.verdict(
                spec["podFailurePolicy"], "wader", code, False), wanted)
        t.equal("a node that is drained", kubelet.verdict(
            spec["podFailurePolicy"], "wader", 137, True), kubelet.IGNORE)
        with_gpu = manifest(t, name, lambda text: text.replace("# nvidia", "nvidia"))
        limits = with_gpu["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        t.equal("with a GPU, one a pod", limits["nvidia.com/gpu"], 1)
    return job


class Claim:
    """The volume `catalog`, with a model and eight inputs, one of them damaged."""

    def __init__(self, t):
        self.t, self.path, self.programs = t, t.directory(), t.directory()
        self.mounts = {"catalog": self.path, "cache": t.directory()}
        os.symlink(t.wader, os.path.join(self.programs, "wader"))
        os.symlink(TINY_MODEL, os.path.join(self.path, "model"))
        for name in ("in", "out"):
            os.mkdir(os.path.join(self.path, name))
        self.inputs, self.out = os.path.join(self.path, "in"), os.path.join(self.path, "out")
        self.names = catalogs.make(self.inputs, 8, 6000)
        self.golden = catalogs.label_here(t, self.inputs, TINY_MODEL)

    def output(self, index):
        return os.path.join(self.out, "part%02d%s" % (index, catalogs.SUFFIX))


class Events:
    """What happens to the first pod of an index, once it is at work. A pod that was quicker than
    we are is started anew."""

    def __init__(self, claim):
        self.claim, self.stop_seconds = claim, []
        self.lock = open(self.path_of_lock(7), "wb")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def path_of_lock(self, index):
        directory, name = os.path.split(self.claim.output(index))
        return os.path.join(directory, ".%s.lock" % name)

    def __call__(self, pod, attempt, ended):
        if pod.index == 7 and ended:
            self.lock.close()  # the other attempt is gone
        if attempt > 0 or pod.index not in (2, 3, 4, 5) or pod.ended:
            return False
        if ended:
            for suffix in ("", ".meta.json"):
                os.remove(self.claim.output(pod.index) + suffix)
            return True
        if os.path.exists(self.path_of_lock(pod.index)):
            begun = time.monotonic()
            if pod.index in (2, 4):
                pod.evict(pod.index == 2)
                self.stop_seconds.append(time.monotonic() - begun)
            else:
                pod.kill(pod.index == 3)
            pod.ended = pod.code() != 0  # else it was at its last line
        return False


def test_job(t, label, merge):
    claim = Claim(t)
    wait = merge["spec"]["template"]["spec"]["initContainers"][0]
    waiting = kubelet.Pod(merge, wait, claim.programs, claim.mounts)
    whole = e2e.read(os.path.join(claim.inputs, "part06.jsonl.gz"))
    os.truncate(os.path.join(claim.inputs, "part06.jsonl.gz"), len(whole) // 2)
    events = Events(claim)
    job = kubelet.IndexedJob(label, claim.programs, claim.mounts, events)
    t.check("a Job with a damaged input fails", not job.run(), job.endings)
    done = (0, "Complete")
    for index, what, endings in (
            (0, "nothing happens", [done]),
            (2, "its node is drained", [(75, kubelet.IGNORE), done]),
            (3, "its node is lost", [(137, kubelet.IGNORE), done]),
            (4, "it is told to stop", [(75, kubelet.IGNORE), done]),
            (5, "it is killed", [(137, kubelet.COUNT), done]),
            (6, "its input is cut", [(3, kubelet.FAIL_INDEX)]),
            (7, "its output is in use", [(5, kubelet.COUNT), done])):
        t.equal("pod %d: %s" % (index, what), job.endings[index], endings)
    t.check("pods stop within 5 s", len(events.stop_seconds) >= 2 and max(events.stop_seconds) < 5,
            events.stop_seconds)
    t.check("those with whole inputs are done", sorted(catalogs.outputs(claim.out)) == [
        "part%02d%s" % (i, catalogs.SUFFIX) for i in range(8) if i != 6])
    t.check("the merge waits", waiting.process.poll() is None)
    waiting.kill(True)
    publish = merge["spec"]["template"]["spec"]["containers"][0]
    pod = kubelet.Pod(merge, publish, claim.programs, claim.mounts)
    t.equal("and would fail", (pod.code(), kubelet.verdict(
        merge["spec"]["podFailurePolicy"], "wader", pod.code(), False)), (1, kubelet.FAIL_JOB))
    e2e.write(claim.inputs, "part06.jsonl.gz", whole)
    again = kubelet.IndexedJob(label, claim.programs, claim.mounts)
    t.check("the Job again, with the input whole", again.run(), again.endings)
    t.check("does that one alone", ["done already" in said for said in again.said].count(False) == 1
            and "done already" not in again.said[6], again.said)
    for container in (wait, publish):
        pod = kubelet.Pod(merge, container, claim.programs, claim.mounts)
        t.equal("the merge: %s" % container["name"], pod.code(), 0)
    catalogs.is_same(t, "all of it", claim.out, claim.golden)


def test_schema(t, validate):
    """Strict: a key that the API does not know is a fault."""
    for name in ("label.yaml", "merge.yaml"):
        job = manifest(t, name, lambda text: text.replace("# nvidia", "nvidia"))
        for version in ("1.29", "1.33", validate.latest_version()):
            try:
                validate.validate(job, version, strict=True)
                t.check("%s: a Job of Kubernetes %s" % (name, version), True)
            except validate.ValidationError as error:
                t.check("%s: a Job of Kubernetes %s" % (name, version), False, error)


def main():
    t = e2e.Suite(__doc__, lambda parser: parser.add_argument("--venv"))
    if t.args.venv:
        test_schema(t, packages.use("kubernetes_validate", t.args.venv))
    for bad in ("a: yes", "a: 1\na: 2", "a: |\n  x", "a: &x 1", "a:\n- 1", "a: 'x'", "a: 0x1f: 1"):
        try:
            yaml_subset.parse(bad)
            t.check("refused: %r" % bad, False)
        except yaml_subset.Refused:
            t.check("refused: %r" % bad, True)
    label = test_manifest(t, "label.yaml", True)
    merge = test_manifest(t, "merge.yaml", False)
    test_job(t, label, merge)
    t.finish()


main()
