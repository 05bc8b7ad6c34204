# usage: awk -f json.awk -f table.awk 'RUN DATA RANK RATE SEED VARIANT'... >table.tsv
#
# A line for the model before and one for each run of the experiment in the current folder, under a line of titles,
# columns divided by tabs. What isn't known is empty; TUNEUTILS_MEASURED in the environment says which files count.

BEGIN {
    OFS = "\t"
    n = split("run data documents rank rate seed variant steps tokens trained loss ppl bits_per_byte stderr kept texts " \
        "acc seconds tok_per_s memory planned_seconds planned_memory", column, " ")
    for (i = 1; i <= n; i++)
        printf "%s%s", column[i], i < n ? OFS : "\n"
    row("before", "before")
    for (k = 1; k < ARGC; k++) {
        split(ARGV[k], config, " ")
        row(config[1], "runs/" config[1])
    }
    exit
}

function row(name, folder,    i, line) {
    split("", value)
    value["run"] = name
    if (name != "before") {
        value["data"] = config[2]
        value["rank"] = config[3]
        value["rate"] = config[4]
        value["seed"] = config[5]
        value["variant"] = config[6] == "-" ? "" : config[6]
        value["documents"] = lines_of("data/" config[2] ".jsonl")
        from_log(folder "/log.jsonl")
        if ((getline line <(".stamps/" folder "/adapter.out")) > 0) {
            split(line, part, " ")
            value["seconds"] = part[2] / 1000
        }
    }
    if (measured("plan.json") && read_object(folder "/plan.json")) {
        value["planned_seconds"] = JSON["seconds"]
        value["planned_memory"] = JSON["memory"]
    }
    if (read_object(folder "/eval.json")) {
        value["ppl"] = JSON["ppl"]
        value["bits_per_byte"] = JSON["bits_per_byte"]
        value["stderr"] = JSON["stderr"]
    }
    if (measured("metric.json") && read_object(folder "/metric.json")) {
        value["kept"] = JSON["kept"]
        value["texts"] = JSON["texts"]
    }
    if (measured("score.json") && read_object(folder "/score.json"))
        value["acc"] = JSON["acc"]
    for (i = 1; i <= n; i++)
        printf "%s%s", value[column[i]], i < n ? OFS : "\n"
}

function measured(file) {
    return index(" " ENVIRON["TUNEUTILS_MEASURED"] " ", " " file " ")
}

# The first line of a file, an object, into JSON; 0 if there is no such file.
function read_object(file,    line, found) {
    found = (getline line <file) > 0
    close(file)
    if (found && !json_read(line)) {
        print "table: " file ": not JSON" >"/dev/stderr"
        exit 1
    }
    return found
}

function lines_of(file,    line, count) {
    while ((getline line <file) > 0)
        count++
    close(file)
    return count
}

function number(line, key) {
    return match(line, "\"" key "\":[0-9.eE+-]*") ? substr(line, RSTART + length(key) + 3, RLENGTH - length(key) - 3) : ""
}

# Steps and tokens are those of the last step, the loss is the mean over the last tenth, speed that of all steps.
function from_log(file,    line, steps, loss, i, first, sum, tokens, time) {
    while ((getline line <file) > 0) {
        if (line !~ /"loss":/)
            continue
        loss[++steps] = number(line, "loss")
        if (number(line, "tok_per_s") > 0)
            time += (number(line, "tokens") - tokens) / number(line, "tok_per_s")
        tokens = number(line, "tokens")
        value["trained"] = number(line, "trained")
        if (number(line, "rss") > value["memory"] + 0)
            value["memory"] = number(line, "rss")
    }
    close(file)
    if (!steps)
        return
    first = steps - int(steps / 10)
    for (i = first; i <= steps; i++)
        sum += loss[i]
    value["loss"] = sum / (steps - first + 1)
    value["steps"] = steps
    value["tokens"] = tokens
    if (time > 0)
        value["tok_per_s"] = tokens / time
}
