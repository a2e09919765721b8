# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes does with an Indexed Job, as far as a program can see it: the environment,
SIGTERM, a time of grace, SIGKILL, and what a manifest says about how pods end. Pods are processes
here."""
import os
import signal
import subprocess
import time

IGNORE, FAIL_INDEX, FAIL_JOB, COUNT = "Ignore", "FailIndex", "FailJob", "Count"


def verdict(policy, container, code, disrupted):
    """What the first of the manifest's rules that fits says; Count where none does."""
    for rule in policy["rules"]:
        if "onExitCodes" in rule:
            wanted = rule["onExitCodes"]
            fits = (wanted["containerName"] == container and code != 0 and
                    (code in wanted["values"]) == (wanted["operator"] == "In"))
        else:
            fits = disrupted and any(c["type"] == "DisruptionTarget" and c["status"] == "True"
                                     for c in rule["onPodConditions"])
        if fits:
            return rule["action"]
    return COUNT


class Pod:
    """The process of one container of a Job."""

    def __init__(self, job, container, programs, mounts, index=None):
        self.grace = job["spec"]["template"]["spec"].get("terminationGracePeriodSeconds", 30)
        self.index, self.disrupted, self.ended = index, False, False
        self.name = container["name"]
        env = {"PATH": programs + ":/usr/bin:/bin"}
        env.update((e["name"], e["value"]) for e in container.get("env", []))
        if index is not None:
            env["JOB_COMPLETION_INDEX"] = str(index)
        words = container["command"] + container["args"]
        for mount in container["volumeMounts"]:
            inside, outside = mount["mountPath"], mounts[mount["name"]]
            words = [word.replace(inside + "/", outside + "/") for word in words]
            env = {key: outside if value == inside else value for key, value in env.items()}
        self.process = subprocess.Popen(words, env=env, cwd="/", stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True, preexec_fn=lambda: os.nice(3))

    def evict(self, disrupted):
        """The node is drained (or, not disrupted, somebody sends the signal)."""
        self.disrupted, self.ended = disrupted, True
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=self.grace)
        except subprocess.TimeoutExpired:
            self.kill(disrupted)

    def kill(self, disrupted):
        """The node is lost (or, not disrupted, the container takes too much memory)."""
        self.disrupted, self.ended = disrupted, True
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it was quicker
        self.process.wait()

    def code(self):
        code = self.process.wait()
        return 128 - code if code < 0 else code


class IndexedJob:
    """Runs one to its end. `happens(pod, attempt, ended)` is called while a pod runs, and may do
    things to it; and once when it has ended: then it returns True where the pod is to be forgotten.
    Pods that count against the limit come again without the pause they would have."""

    def __init__(self, job, programs, mounts, happens=lambda *_: False):
        self.job, self.programs, self.mounts, self.happens = job, programs, mounts, happens
        self.spec = job["spec"]
        self.container = self.spec["template"]["spec"]["containers"][0]
        self.n = self.spec["completions"]
        self.endings = [[] for _ in range(self.n)]  # of an index, (exit code, verdict) of each pod
        self.said = [""] * self.n

    def _goes_on(self, index):
        verdicts = [verdict for _, verdict in self.endings[index]]
        return not (verdicts and verdicts[-1] in ("Complete", FAIL_INDEX) or
                    verdicts.count(COUNT) > self.spec["backoffLimitPerIndex"])

    def run(self, seconds=120):
        """Whether all indexes completed."""
        running, until = {}, time.monotonic() + seconds
        while time.monotonic() < until:
            waiting = [i for i in range(self.n) if i not in running and self._goes_on(i)]
            if not waiting and not running:
                break
            for index in waiting[:self.spec["parallelism"] - len(running)]:
                running[index] = Pod(self.job, self.container, self.programs, self.mounts, index)
            for index, pod in list(running.items()):
                ended = pod.process.poll() is not None
                forget = self.happens(pod, len(self.endings[index]), ended)
                if not ended:
                    continue
                del running[index]
                if not forget:
                    self._end(pod)
            time.sleep(0.002)
        for pod in running.values():
            pod.kill(True)
        return all(e and e[-1][1] == "Complete" for e in self.endings)

    def _end(self, pod):
        code = pod.code()
        self.said[pod.index] += pod.process.stdout.read().decode("utf-8", "replace")
        self.endings[pod.index].append((code, "Complete" if code == 0 else verdict(
            self.spec["podFailurePolicy"], pod.name, code, pod.disrupted)))
