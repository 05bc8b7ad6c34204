"""Random tables, written by Python's csv module in each of its ways and read by ft-lint --fix, come back as they were."""
import csv
import io
import json
import random
import subprocess
import sys

ALPHABET = ['"', '""', ",", ";", "\t", "\n", "\r\n", " ", "a", "bc", "é", "你", "'", "\\", "x" * 30, "[", "{", "#"]


def text(r):
    return "".join(r.choice(ALPHABET) for _ in range(r.randint(0, 6)))


def kept(table, form):
    """The documents that ft-lint keeps of the table, as a list of objects."""
    command = ["ft-lint", "--fix", "--format", form, "--ignore", "duplicate,near-duplicate"]
    done = subprocess.run(command, input=table.encode(), capture_output=True)
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line], done.stderr.decode()


def main():
    r = random.Random(3)
    print("1..60")
    for case in range(1, 61):
        form = r.choice(["csv", "csv", "tsv"])
        writer = {"delimiter": "\t" if form == "tsv" else r.choice([",", ",", ";"]),
                  "quoting": r.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
                  "lineterminator": r.choice(["\n", "\r\n"])}
        out = io.StringIO()
        w = csv.writer(out, **writer)
        fewest = 2 if writer["delimiter"] == ";" else 1  # the names show that it is one
        names = ["text", "note", "more"][: r.randint(fewest, 3)]
        w.writerow(names)
        want = []
        for _ in range(r.randint(1, 40)):
            row = ["begin " + text(r)] + [text(r) for _ in names[1:]]
            w.writerow(row)
            want.append({k: v or None for k, v in zip(names, row)})
        table = r.choice(["", "\ufeff"]) + out.getvalue()
        if r.random() < 0.3:
            table = table[: -len(writer["lineterminator"])]
        got, said = kept(table, form)
        print("%s %d - %s %r" % ("ok" if got == want else "not ok", case, form, writer))
        if got != want:
            odd = [(a, b) for a, b in zip(got, want) if a != b][:1]
            print("# got %d of %d; %s; %s" % (len(got), len(want), odd, said.strip().replace("\n", " ")))


if __name__ == "__main__":
    sys.exit(main())
