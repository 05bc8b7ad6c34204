# The rest of the page: what the data are like, what it all took, and what made it.

# The summary of one of ft-lint's reports into JSON; its findings aren't read, as they can be many.
function read_summary(file,    line, all, found) {
    while ((getline line <file) > 0) {
        if (line ~ /^"summary":/)
            found = 1
        if (found)
            all = all line "\n"
    }
    close(file)
    return found && json_read("{" all)
}

# The members of an object in JSON, by number, as "name count"; the commonest ones.
function counts(object, most,    key, part, out, n, done, i, top) {
    for (key in JSON) {
        split(key, part, SUBSEP)
        if (part[1] == "summary" && part[2] == object && part[3] != "#")
            done[part[3]] = JSON[key]
    }
    for (i = 0; i < most; i++) {
        top = ""
        for (key in done)
            if (top == "" || done[key] + 0 > done[top] + 0 || done[key] + 0 == done[top] + 0 && key < top)
                top = key
        if (top == "")
            break
        out = out (out == "" ? "" : ", ") (top == "und" ? "unknown" : top) " " done[top]
        delete done[top]
    }
    return out
}

function statistic(file, name,    line, value) {
    while ((getline line <file) > 0)
        if (index(line, name "  ") == 1) {
            value = substr(line, length(name) + 1)
            sub(/^ +/, "", value)
        }
    close(file)
    return value
}

function data(    n, set, i, file, stats, largest, most, advice) {
    print "<h2>Data</h2>"
    if (read_summary("data/clean.json"))
        printf "<p>%s documents came in, %s were left out%s.</p>\n", whole(JSON["summary", "documents"]), whole(JSON["summary", "dropped"]),
            JSON["summary", "kinds", "#"] ? " (found: " html(counts("kinds", 8)) ")" : ""
    n = split("held " ENVIRON["DATA"], set, " ")
    print "<div class=\"scroll\"><table>\n<tr><th>set</th><th>documents</th><th>characters: least</th><th>median</th><th>95 %</th><th>most</th>" \
        "<th>tokens</th><th>learnt from</th><th>rows filled</th><th>languages</th><th>warnings</th></tr>"
    for (i = 1; i <= n; i++) {
        file = "data/" set[i] ".lint.json"
        stats = "data/" set[i] ".stats"
        if (!read_summary(file))
            continue
        if (i > 1 && JSON["summary", "documents"] + 0 > most) {
            most = JSON["summary", "documents"] + 0
            largest = set[i]
        }
        printf "<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
            html(set[i] == "held" ? "held out" : set[i]), whole(JSON["summary", "documents"]), whole(JSON["summary", "lengths", "least"]), whole(JSON["summary", "lengths", "median"]),
            whole(JSON["summary", "lengths", "p95"]), whole(JSON["summary", "lengths", "most"]), whole(statistic(stats, "tokens")),
            html(statistic(stats, "trained")), html(statistic(stats, "fill")), html(counts("languages", 3)), whole(JSON["summary", "warnings"])
    }
    print "</table></div>"
    if (largest == "" || !read_summary("data/" largest ".lint.json"))
        return
    histogram(largest)
    if (JSON["summary", "advice", "#"] > 0) {
        print "<h3>What ft-lint says about " html(largest) "</h3>\n<ul>"
        for (i = 0; i < JSON["summary", "advice", "#"]; i++)
            print "<li>" html(JSON["summary", "advice", i]) "</li>"
        print "</ul>"
    }
}

function histogram(set,    n, i, most) {
    n = JSON["summary", "lengths", "histogram", "#"]
    for (i = 0; i < n; i++)
        if (JSON["summary", "lengths", "histogram", i, "documents"] + 0 > most)
            most = JSON["summary", "lengths", "histogram", i, "documents"] + 0
    if (!most)
        return
    print "<h3>" html(JSON["summary", "lengths", "unit"]) " of the documents in " html(set) "</h3>\n<div class=\"bars\">"
    for (i = 0; i < n; i++)
        printf "<span>%s\342\200\223%s</span><i style=\"width: %.1f%%\" title=\"%d documents\"></i>\n", whole(JSON["summary", "lengths", "histogram", i, "from"]),
            whole(JSON["summary", "lengths", "histogram", i, "below"] - 1), 100 * JSON["summary", "lengths", "histogram", i, "documents"] / most,
            JSON["summary", "lengths", "histogram", i, "documents"]
    print "</div>"
}

function cost(    i, n, file, line, part, kind, spent, all, order) {
    print "<h2>Cost</h2>"
    kind["clean.jsonl"] = "documents"
    kind["shuffled.jsonl"] = "documents"
    kind["ft"] = "tokens"
    kind["plan.json"] = "planning"
    kind["adapter"] = "training"
    kind["eval.json"] = "perplexity"
    kind["gen.jsonl"] = "generation"
    kind["metric.json"] = metric
    kind["score.json"] = "questions"
    kind["merged.gguf"] = "merging"
    n = split(ENVIRON["STAMPS"], file, " ")
    for (i = 1; i <= n; i++) {
        if ((getline line <file[i]) > 0) {
            split(line, part, " ")
            sub(/\.out$/, "", file[i])
            sub(/.*\//, "", file[i])
            if (file[i] ~ /\.ft$/)
                file[i] = "ft"
            spent[file[i] in kind ? kind[file[i]] : "other"] += part[2] / 1000
            all += part[2] / 1000
        }
        close(file[i])
    }
    printf "<p>All that is here took %s of work on %s", seconds(all), html(ENVIRON["PROCESSOR"])
    n = split("documents;tokens;planning;training;perplexity;generation;" metric ";questions;merging;other", order, ";")
    for (i = 1; i <= n; i++)
        if (spent[order[i]] >= 0.05) {
            printf "%s %s %s", part["said"] ? "," : ":", html(order[i]), seconds(spent[order[i]])
            part["said"] = 1
        }
    print ".</p>"
    plans()
}

# What ft-plan foresaw, beside what it was.
function plans(    i, line, file, time, memory, energy, price, t) {
    for (i = 1; i <= rows; i++) {
        split("", JSON)
        file = "runs/" name[i] "/plan.json"
        if (measured("plan.json") && (getline line <file) > 0)
            json_read(line)
        close(file)
        time[i] = seconds(JSON["seconds"])
        memory[i] = bytes(JSON["memory"])
        energy[i] = JSON["kwh"] == "" ? "" : sprintf("%.4f", JSON["kwh"])
        price[i] = JSON["cost"] == "" ? "" : sprintf("%.4f", JSON["cost"])
    }
    heads = ""
    split("", body)
    column("run", name)
    column("time planned", time)
    for (i = 1; i <= rows; i++) t[i] = seconds(T[name[i], "seconds"])
    column("taken", t)
    column("memory planned", memory)
    for (i = 1; i <= rows; i++) t[i] = bytes(T[name[i], "memory"])
    column("taken", t)
    column("energy, kWh", energy)
    column("price", price)
    print "<div class=\"scroll\"><table>\n<tr>" heads "</tr>"
    for (i = 2; i <= rows; i++)
        print "<tr" (name[i] == best ? " class=\"best\"" : "") ">" body[i] "</tr>"
    print "</table></div>\n<p class=\"soft\">Planned by ft-plan before the training, from a few seconds of it; taken includes loading and evaluations. " \
        "PLAN_FLAGS = --watts 65 --price-kwh 0.30 adds energy and price.</p>"
}

function stamp(target,    file, line, made, first) {
    file = ".stamps/" target ".key"
    while ((getline line <file) > 0)
        made = made (made == "" ? "" : "\n") line
    close(file)
    if (made == "")
        return
    file = ".stamps/" target ".out"
    getline line <file
    close(file)
    split(line, first, " ")
    print "<details><summary>" html(target) " <span class=\"soft\">" html(first[1]) "</span></summary><pre>" html(made) "</pre></details>"
}

function provenance(    set, n, file, i) {
    print "<h2>What made it</h2>\n<p>Each file of the best run, with the hash of what is in it; behind each, the command, the versions of the programs and the " \
        "hashes of what went in. <code>make verify</code> makes all again and compares.</p>"
    set = T[best, "data"]
    stamp("data/clean.jsonl")
    stamp("data/shuffled.jsonl")
    stamp("data/held.jsonl")
    stamp("data/held.ft")
    stamp("data/all.jsonl")
    if (set != "all")
        stamp("data/" set ".jsonl")
    stamp("data/" set ".ft")
    n = split("eval.json gen.jsonl metric.json score.json", file, " ")
    for (i = 1; i <= n; i++)
        if (measured(file[i]))
            stamp("before/" file[i])
    stamp("runs/" best "/adapter")
    for (i = 1; i <= n; i++)
        if (measured(file[i]))
            stamp("runs/" best "/" file[i])
    stamp("runs/" best "/merged.gguf")
}
