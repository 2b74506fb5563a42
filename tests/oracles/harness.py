"""lm-evaluation-harness as an oracle: its task definitions on our files, its model llama.cpp.

Needs the packages of requirements-tasks.txt (tools/oracle_venv tasks). llama.cpp is the one that
tools/peer built from llama-cpp-python's source package, asked through peer_scorer.cpp.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile

import common

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import lm_eval  # noqa: E402
from lm_eval.api.model import TemplateLM  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402


def peer_output(*flags):
    """What tools/peer prints."""
    tool = os.path.join(common.REPOSITORY, "tools", "peer")
    done = subprocess.run([tool, *flags], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


class PeerModel(TemplateLM):
    """llama.cpp on one GGUF file, each request from an empty context."""

    def __init__(self, path, floats):
        super().__init__()
        command = [peer_output("--scorer"), path, "2", *(["floats"] if floats else [])]
        self.scorer = subprocess.Popen(  # pylint: disable=consider-using-with
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words):
        """One line for another."""
        self.scorer.stdin.write(" ".join(map(str, words)) + "\n")
        self.scorer.stdin.flush()
        line = self.scorer.stdout.readline()
        if not line:
            raise common.Failed(f"peer_scorer ended: status {self.scorer.wait()}")
        return line.split()

    def close(self):
        """Ends the program."""
        self.scorer.stdin.close()
        self.scorer.wait()

    @property
    def eot_token_id(self):
        return int(self.ask("eos")[0])

    def tok_encode(self, string, **_):
        return [int(word) for word in self.ask("tokenize", string.encode().hex())]

    def _loglikelihood_tokens(self, requests, **_):
        results = []
        for _, context, ending in requests:
            value, greedy = self.ask("score", len(context), *context, *ending)
            results.append((float(value), greedy == "1"))
        return results

    def loglikelihood_rolling(self, requests, **_):
        raise NotImplementedError

    def generate_until(self, requests, **_):
        raise NotImplementedError


class SpokenModel(PeerModel):
    """Answers with given texts, in order."""

    def __init__(self, texts):  # pylint: disable=super-init-not-called
        TemplateLM.__init__(self)
        self.texts = list(texts)

    def generate_until(self, requests, **_):
        return [self.texts.pop(0) for _ in requests]


def evaluate(model, task, limit, shots):
    """Samples of one task, in order of documents."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
    ):
        found = lm_eval.simple_evaluate(
            model=model,
            tasks=[task],
            num_fewshot=shots,
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
            task_manager=TaskManager(),
            verbosity="ERROR",
        )
    return list(found["samples"].values())[0]


DEFINITIONS = {  # in the package
    "arc": ("arc/arc_challenge.yaml", "test"),
    "hellaswag": ("hellaswag/hellaswag.yaml", "validation"),
    "gsm8k": ("gsm8k/gsm8k.yaml", "test"),
}


@contextlib.contextmanager
def task_over(task, path, examples=()):
    """A file that takes the harness's own definition and gives it a local file for its split."""
    definition, split = DEFINITIONS[task]
    config = {
        "include": os.path.join(os.path.dirname(lm_eval.__file__), "tasks", definition),
        "task": f"local_{task}",
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {split: path}},
        "training_split": None,
        "validation_split": split if split == "validation" else None,
        "test_split": split if split == "test" else None,
        "fewshot_split": None,
    }
    if examples:
        config["fewshot_config"] = {"sampler": "first_n", "samples": list(examples)}
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".yaml") as file:
        json.dump(config, file)  # which is YAML too
        file.flush()
        yield file.name


def endings(task, model, path, limit, floats):
    """Per document: acc, acc_norm and its requests as (context, ending, log-likelihood)."""
    with contextlib.closing(PeerModel(model, floats)) as peer, task_over(task, path) as definition:
        samples = evaluate(peer, definition, limit, 0)
    found = []
    for sample in sorted(samples, key=lambda s: s["doc_id"]):
        pairs = [tuple(arguments) for arguments in arguments_of(sample)]
        scores = [float(response[0][0]) for response in sample["resps"]]
        requests = [(*pair, score) for pair, score in zip(pairs, scores, strict=True)]
        found.append({"acc": sample["acc"], "acc_norm": sample["acc_norm"], "requests": requests})
    return found


def arguments_of(sample):
    """Arguments of a logged sample: a list, or a dictionary by position in newer versions."""
    arguments = sample["arguments"]
    if isinstance(arguments, dict):
        arguments = [list(one.values()) for one in arguments.values()]
    return arguments


def judge_answers(task, path, examples, texts):
    """Per document: its prompt and the verdict of each filter on the given texts."""
    with task_over(task, path, examples) as definition:
        samples = evaluate(SpokenModel(texts), definition, len(texts), len(examples))
    found = [{} for _ in texts]
    for sample in samples:
        found[sample["doc_id"]]["prompt"] = arguments_of(sample)[0][0]
        found[sample["doc_id"]][sample["filter"]] = sample["exact_match"]
    return found
