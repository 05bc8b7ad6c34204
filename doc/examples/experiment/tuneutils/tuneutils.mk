# tuneutils.mk: experiments with tuneutils, for GNU make 4.0 or later. tuneutils.mk(5) is its manual.
#
# A makefile says what is to be tried, and includes this:
#
#   MODEL = base.gguf
#   DOCUMENTS = documents.jsonl
#   RANKS = 8 16
#   RATES = 5e-4 1e-3
#   include tuneutils.mk
#
#   make -j2 table report     trains each combination, and shows them in table.txt and report.html
#   make results              trains and measures only
#   make best                 merges the best run into best.gguf
#   make explain              what would be made anew, and why
#   make verify               makes everything once more elsewhere, and compares
#   make clean
#
# Files lie under data/ (documents, shards), before/ (the model as it is) and runs/NAME/ (each run). Whether one
# is made anew follows from contents, not from times: see the file stage beside this one.

TUNEUTILS := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))

# What goes in.
MODEL ?= base.gguf
DOCUMENTS ?= documents.jsonl
# Documents that nothing is learnt from: a number, a share as 10%, or a file NAME.jsonl of their own.
HELD ?= 10%
# How many of these to complete, 0 for none; and multiple-choice questions for ft-score.
PROMPTS ?= 50
QUESTIONS ?=

# What is tried: all combinations. DATA are numbers of documents, all of them (all), or files NAME.jsonl.
# VARIANTS are names whose options stand in TRAIN_FLAGS.NAME.
DATA ?= all
RANKS ?= 16
RATES ?= 5e-4
SEEDS ?= 1
VARIANTS ?=

# Options of the programs.
LINT_FLAGS ?=
TOK_FLAGS ?=
PACK_FLAGS ?= --length 512
TRAIN_FLAGS ?= --epochs 1
GEN_FLAGS ?= --temperature 0 --max-tokens 160
SCORE_FLAGS ?=
MERGE_FLAGS ?= --type q8_0
PLAN_FLAGS ?= --seconds 2
BACKEND ?= fp32
# A command that is given a file of ft-gen's and prints {"texts":N,"kept":K}: how many of them are as they should be.
METRIC ?=
METRIC_NAME ?= kept
TITLE ?= $(notdir $(CURDIR))
SAMPLES ?= 5
# Of each program; by default the processors divided by make's -j.
THREADS ?=
export METRIC_NAME TITLE THREADS

# The runs: their names, and of each data, rank, rate, seed and variant.
RUNS :=
define tuneutils_run
RUNS += $1
config.$1 := $2 $3 $4 $5 $(or $6,-)
data.$1 := data/$2.ft
flags.$1 = $$(TRAIN_FLAGS) --rank $3 --lr $4 --seed $5 $$(TRAIN_FLAGS.$6)
endef
$(foreach d,$(DATA),$(foreach r,$(RANKS),$(foreach l,$(RATES),$(foreach s,$(SEEDS),$(foreach v,$(or $(VARIANTS),-),\
	$(eval $(call tuneutils_run,$d-r$r-lr$l-s$s$(addprefix -,$(filter-out -,$v)),$d,$r,$l,$s,$(filter-out -,$v))))))))

# The folder of the examples, beside this one or of the programs in PATH; the demo's has a small model to try with.
tuneutils_bin := $(filter %/bin,$(subst :, ,$(PATH)))
EXAMPLES := $(patsubst %/house-style,%,$(abspath $(firstword $(wildcard $(TUNEUTILS)/../../house-style $(TUNEUTILS)/../doc/tuneutils/examples/house-style \
	$(tuneutils_bin:%/bin=%/share/doc/tuneutils/examples/house-style) \
	$(patsubst %/build/bin,%/doc/examples/house-style,$(filter %/build/bin,$(tuneutils_bin)))))))

tuneutils_programs := ft-dump ft-eval ft-gen ft-lint ft-merge ft-pack ft-plan ft-score ft-tok ft-train
export TUNEUTILS_PROGRAMS := $(shell for p in $(tuneutils_programs); do $$p --version 2>/dev/null | head -n 1; done | tr '\n' ';')
ifeq ($(TUNEUTILS_PROGRAMS),)
$(error No ft-train in PATH: install tuneutils, or put its build/bin there)
endif

measured = eval.json $(if $(filter-out 0,$(PROMPTS)),gen.jsonl $(if $(METRIC),metric.json)) $(if $(QUESTIONS),score.json)
results = $(addprefix before/,$(measured)) $(foreach r,$(RUNS),$(addprefix runs/$r/,$(measured)))
about = $(foreach d,$(DATA),data/$d.lint.json data/$d.stats) data/held.lint.json data/held.stats \
	$(if $(PLAN_FLAGS),$(foreach r,$(RUNS),runs/$r/plan.json))
adapters = $(RUNS:%=runs/%/adapter)
# What was measured once, and isn't now, isn't shown.
export TUNEUTILS_MEASURED = $(measured) $(if $(PLAN_FLAGS),plan.json)

.PHONY: all table report figures results best explain verify clean tuneutils-force
.SECONDARY:
.PRECIOUS: $(adapters)
all: report table
smollm2.gguf:
	$(EXAMPLES)/house-style/fetch-model $@

data/% before/% runs/%: private SHELL = $(TUNEUTILS)/stage
data/% before/% runs/%: private .SHELLFLAGS = $@ $(also.$@:%=+%) $(filter-out tuneutils-force,$^) -c
tuneutils-force: ;

# Documents: those with errors and copies left out, in an order of their own, divided.
data/clean.jsonl: $(DOCUMENTS) tuneutils-force
	@ft-lint --fix --json $(LINT_FLAGS) -o $@ $(DOCUMENTS) >data/clean.json
data/shuffled.jsonl: data/clean.jsonl $(TUNEUTILS)/take tuneutils-force
	@$$tuneutils/take shuffled 1 data/clean.jsonl >$@
ifneq ($(filter %.jsonl,$(HELD)),)
data/held.jsonl: $(HELD) tuneutils-force
	@ft-lint --fix $(LINT_FLAGS) -o $@ $(HELD) >data/held.txt
data/all.jsonl: data/shuffled.jsonl data/held.jsonl tuneutils-force
	@ft-lint --fix $(LINT_FLAGS) --against data/held.jsonl -o $@ data/shuffled.jsonl >data/all.txt
else
data/held.jsonl: data/shuffled.jsonl $(TUNEUTILS)/take tuneutils-force
	@$$tuneutils/take first $(HELD) data/shuffled.jsonl >$@
data/all.jsonl: data/shuffled.jsonl $(TUNEUTILS)/take tuneutils-force
	@$$tuneutils/take rest $(HELD) data/shuffled.jsonl >$@
endif
data/prompts.jsonl: data/held.jsonl tuneutils-force
	@head -n $(PROMPTS) data/held.jsonl >$@

# Subsets: the smaller ones are parts of the larger ones.
tuneutils_numbers := $(shell printf '%s\n' $(DATA) | grep -x '[0-9]*')
$(tuneutils_numbers:%=data/%.jsonl): data/%.jsonl: data/all.jsonl $(TUNEUTILS)/take tuneutils-force
	@$$tuneutils/take first $* data/all.jsonl >$@
tuneutils_files := $(filter-out all $(tuneutils_numbers),$(DATA))
$(tuneutils_files:%=data/%.jsonl): data/%.jsonl: %.jsonl data/held.jsonl tuneutils-force
	@ft-lint --fix $(LINT_FLAGS) --against data/held.jsonl -o $@ $*.jsonl >data/$*.txt

data/%.lint.json: data/%.jsonl tuneutils-force
	@ft-lint --fix --json $(LINT_FLAGS) -o /dev/null data/$*.jsonl >$@
data/%.ft: data/%.jsonl $(MODEL) tuneutils-force
	@ft-tok -m $(MODEL) $(TOK_FLAGS) data/$*.jsonl | ft-pack $(PACK_FLAGS) -o $@
data/%.stats: data/%.ft tuneutils-force
	@ft-dump --stats -o $@ data/$*.ft

# The model as it is.
before/eval.json: $(MODEL) data/held.ft tuneutils-force
	@exec ft-eval -m $(MODEL) --backend $(BACKEND) $$threads -o $@ data/held.ft
before/gen.jsonl: $(MODEL) data/prompts.jsonl tuneutils-force
	@exec ft-gen -m $(MODEL) --backend $(BACKEND) $(GEN_FLAGS) $$threads -o $@ data/prompts.jsonl
before/score.json: $(MODEL) $(QUESTIONS) tuneutils-force
	@exec ft-score -m $(MODEL) --backend $(BACKEND) $(SCORE_FLAGS) $$threads -o $@ $(QUESTIONS)

# The runs.
$(foreach r,$(RUNS),$(eval runs/$r/adapter runs/$r/plan.json: $(data.$r)))
$(foreach r,$(RUNS),$(eval also.runs/$r/adapter := runs/$r/log.jsonl))
runs/%/plan.json: $(MODEL) data/held.ft tuneutils-force
	@exec ft-plan -m $(MODEL) --json --alone $(PLAN_FLAGS) --backend $(BACKEND) $(flags.$*) --eval data/held.ft $$threads $(data.$*) >$@
runs/%/adapter: $(MODEL) data/held.ft tuneutils-force
	@exec ft-train $${resume:---restart -o} $@ -m $(MODEL) --backend $(BACKEND) $(flags.$*) --eval data/held.ft $$threads \
		--log runs/$*/log.jsonl $(data.$*)
runs/%/eval.json: runs/%/adapter $(MODEL) data/held.ft tuneutils-force
	@exec ft-eval -m $(MODEL) -a runs/$*/adapter --backend $(BACKEND) $$threads -o $@ data/held.ft
runs/%/gen.jsonl: runs/%/adapter $(MODEL) data/prompts.jsonl tuneutils-force
	@exec ft-gen -m $(MODEL) -a runs/$*/adapter --backend $(BACKEND) $(GEN_FLAGS) $$threads -o $@ data/prompts.jsonl
runs/%/score.json: runs/%/adapter $(MODEL) $(QUESTIONS) tuneutils-force
	@exec ft-score -m $(MODEL) -a runs/$*/adapter --backend $(BACKEND) $(SCORE_FLAGS) $$threads -o $@ $(QUESTIONS)
runs/%/merged.gguf: runs/%/adapter $(MODEL) tuneutils-force
	@exec ft-merge -m $(MODEL) -a runs/$*/adapter $(MERGE_FLAGS) -o $@

tuneutils_metric_files = $(filter-out .,$(wildcard $(METRIC)))
before/metric.json: before/gen.jsonl $(tuneutils_metric_files) tuneutils-force
	@$(METRIC) before/gen.jsonl >$@
runs/%/metric.json: runs/%/gen.jsonl $(tuneutils_metric_files) tuneutils-force
	@$(METRIC) runs/$*/gen.jsonl >$@

# What it showed.
table.tsv: $(results) $(adapters) $(DATA:%=data/%.jsonl) $(if $(PLAN_FLAGS),$(RUNS:%=runs/%/plan.json)) tuneutils-force
	@LC_ALL=C awk -f $(TUNEUTILS)/json.awk -f $(TUNEUTILS)/table.awk $(foreach r,$(RUNS),'$r $(config.$r)') >$@.tmp
	@mv $@.tmp $@
table.txt: table.tsv
	@LC_ALL=C awk -f $(TUNEUTILS)/table-text.awk table.tsv >$@.tmp
	@mv $@.tmp $@
table: table.txt
	@cat table.txt

figures: table.tsv
	@$(TUNEUTILS)/figures table.tsv figures
report: report.html
	@echo "$(CURDIR)/report.html"
report.html: table.txt figures $(about)
	@$(TUNEUTILS)/report $(SAMPLES) '$(MODEL)' '$(DOCUMENTS)' $(DATA) >$@.tmp
	@mv $@.tmp $@
results: $(results)

# The run with the lowest perplexity, merged.
best: table.tsv
	@best=$$($(TUNEUTILS)/best table.tsv) && echo "$$best" && $(MAKE) --no-print-directory runs/$$best/merged.gguf && \
		ln -sf runs/$$best/merged.gguf best.gguf

explain:
	@EXPLAIN=1 $(MAKE) --no-print-directory $(results)

# VERIFY says what is compared; what it is made from is made and compared, too.
VERIFY ?= $(results)
verify:
	@MAKE='$(MAKE)' $(TUNEUTILS)/verify $(abspath $(firstword $(MAKEFILE_LIST))) $(VERIFY)

clean:
	rm -rf data before runs figures .stamps table.tsv table.txt report.html best.gguf
