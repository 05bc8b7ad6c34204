# The page that `report` asks for; json.awk and report-data.awk belong to it. What it needs comes in the environment.
# Whatever comes from files goes through html() before it is printed.

BEGIN {
    FS = "\t"
    best = ENVIRON["BEST"]
    metric = ENVIRON["METRIC_NAME"]
    read_table("table.tsv")
    head()
    summary()
    runs()
    figures()
    data()
    samples()
    cost()
    provenance()
    print "</body>\n</html>"
}

function html(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    gsub(/"/, "\\&quot;", text)
    gsub(/'/, "\\&#39;", text)
    gsub(/[\001-\010\013\014\016-\037\177]/, "\357\277\275", text)
    return text
}

function measured(file) {
    return index(" " ENVIRON["TUNEUTILS_MEASURED"] " ", " " file " ")
}

# At most so many bytes, cut between characters.
function shortened(text, most) {
    if (length(text) <= most)
        return text
    text = substr(text, 1, most)
    sub(/[\300-\377][\200-\277]*$/, "", text)
    return text " [...]"
}

function read_table(file,    line, i, n, cell) {
    while ((getline line <file) > 0) {
        n = split(line, cell, "\t")
        if (!rows++) {
            for (i = 1; i <= n; i++)
                title[i] = cell[i]
            continue
        }
        name[rows - 1] = cell[1]
        for (i = 1; i <= n; i++)
            T[cell[1], title[i]] = cell[i]
    }
    close(file)
    rows--
}

function seconds(s) {
    if (s == "")
        return ""
    s += 0
    if (s < 60)
        return sprintf(s < 10 ? "%.1f s" : "%.0f s", s)
    return s < 3600 ? sprintf("%d:%02d min", s / 60, s % 60) : sprintf("%d:%02d h", s / 3600, s % 3600 / 60)
}

function bytes(b) {
    return b == "" ? "" : b + 0 < 1e9 ? sprintf("%.0f MB", b / 1e6) : sprintf("%.2f GB", b / 1e9)
}

function perplexity(x) {
    return x == "" ? "" : sprintf(x + 0 < 1000 ? "%.2f" : "%.4g", x)
}

function whole(n,    text) {
    if (n == "")
        return ""
    text = sprintf("%d", n)
    while (match(text, /[0-9][0-9][0-9][0-9]($|,)/))
        text = substr(text, 1, RSTART) "," substr(text, RSTART + 1)
    return text
}

function kept(run) {
    return T[run, "texts"] ? T[run, "kept"] " of " T[run, "texts"] : ""
}

function percent(share) {
    return share == "" ? "" : sprintf("%.1f %%", 100 * share)
}

function head(    line, file) {
    print "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">"
    print "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    print "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    print "<title>" html(ENVIRON["TITLE"]) "</title>\n<style>"
    file = ENVIRON["STYLE"]
    while ((getline line <file) > 0)
        print line
    close(file)
    print "</style>\n</head>\n<body>\n<h1>" html(ENVIRON["TITLE"]) "</h1>"
}

function tile(what, value) {
    print "<div class=\"tile\"><span>" html(what) "</span><b>" html(value) "</b></div>"
}

function summary() {
    printf "<p class=\"soft\">%s, %d %s; documents: %s</p>\n", html(ENVIRON["MODEL"]), rows - 1, rows == 2 ? "run" : "runs", html(ENVIRON["DOCUMENTS"])
    print "<div class=\"tiles\">"
    tile("best run", best)
    tile("perplexity, held out", perplexity(T["before", "ppl"]) " \342\206\222 " perplexity(T[best, "ppl"]))
    if (kept(best) != "")
        tile(metric, T["before", "kept"] + 0 " \342\206\222 " kept(best))
    if (T[best, "acc"] != "")
        tile("accuracy", percent(T["before", "acc"]) " \342\206\222 " percent(T[best, "acc"]))
    tile("its training", seconds(T[best, "seconds"]))
    tile("at most", bytes(T[best, "memory"]))
    print "</div>"
}

# One column of the table of runs; nothing where no run has anything in it.
function column(heading, texts,    i, any) {
    for (i = 1; i <= rows; i++)
        any = any texts[i]
    if (any == "")
        return
    heads = heads "<th>" html(heading) "</th>"
    for (i = 1; i <= rows; i++)
        body[i] = body[i] "<td>" html(texts[i]) "</td>"
}

function runs(    i, t) {
    for (i = 1; i <= rows; i++) t[i] = name[i]
    column("run", t)
    for (i = 1; i <= rows; i++) t[i] = whole(T[name[i], "documents"])
    column("documents", t)
    for (i = 1; i <= rows; i++) t[i] = whole(T[name[i], "steps"])
    column("steps", t)
    for (i = 1; i <= rows; i++) t[i] = whole(T[name[i], "tokens"])
    column("tokens", t)
    for (i = 1; i <= rows; i++) t[i] = T[name[i], "loss"] == "" ? "" : sprintf("%.3f", T[name[i], "loss"])
    column("loss at the end", t)
    for (i = 1; i <= rows; i++) t[i] = perplexity(T[name[i], "ppl"])
    column("perplexity", t)
    for (i = 1; i <= rows; i++) t[i] = T[name[i], "bits_per_byte"] == "" ? "" : sprintf("%.3f", T[name[i], "bits_per_byte"])
    column("bits/byte", t)
    for (i = 1; i <= rows; i++) t[i] = kept(name[i])
    column(metric, t)
    for (i = 1; i <= rows; i++) t[i] = percent(T[name[i], "acc"])
    column("accuracy", t)
    for (i = 1; i <= rows; i++) t[i] = seconds(T[name[i], "seconds"])
    column("time", t)
    for (i = 1; i <= rows; i++) t[i] = whole(T[name[i], "tok_per_s"])
    column("tokens/s", t)
    for (i = 1; i <= rows; i++) t[i] = bytes(T[name[i], "memory"])
    column("memory", t)
    print "<h2>Runs</h2>\n<div class=\"scroll\"><table>\n<tr>" heads "</tr>"
    for (i = 1; i <= rows; i++)
        print "<tr" (name[i] == best ? " class=\"best\"" : "") ">" body[i] "</tr>"
    print "</table></div>"
    print "<p class=\"soft\">Perplexity" (kept(best) == "" ? " and bits per byte" : ", bits per byte and \342\200\234" html(metric) "\342\200\235") " are of documents that nothing was learnt from. " \
        "The shaded run has the lowest perplexity; it was chosen by those same documents, so expect a little less of it elsewhere.</p>"
}

# A figure of gnuplot's as it is, but without what comes before <svg, and with ids of its own.
function figure(file, number, wide,    line, inside) {
    printf "<figure%s>", wide ? " class=\"wide\"" : ""
    while ((getline line <file) > 0) {
        if (!inside && !(inside = line ~ /<svg/))
            continue
        gsub(/ id=['"]/, "&f" number "-", line)
        gsub(/href=['"]#/, "&f" number "-", line)
        gsub(/url\(#/, "&f" number "-", line)
        print line
    }
    close(file)
    print "</figure>"
}

function figures(    n, file, i) {
    print "<h2>Figures</h2>"
    n = split(ENVIRON["FIGURES"], file, " ")
    if (ENVIRON["MISSING"] != "")
        print "<p>There are none, as " html(ENVIRON["MISSING"]) " isn't installed.</p>"
    print "<div class=\"figures\">"
    for (i = 1; i <= n; i++)
        figure(file[i], i, file[i] ~ /loss/)
    print "</div>"
}

# What ft-gen wrote about the first prompts, before and after.
function samples(    n, line, more, before, after, reference, finish, prompt, files) {
    files = "before/gen.jsonl"
    if (!measured("gen.jsonl") || (getline line <files) <= 0)
        return
    print "<h2>Samples</h2>\n<p class=\"soft\">The first held-out documents, before and after " html(best) ".</p>"
    do {
        if (!json_read(line))
            break
        prompt = JSON["prompt"]
        reference = JSON["reference"]
        before = JSON["completion"]
        finish = JSON["finish"]
        if ((getline more <("runs/" best "/gen.jsonl")) <= 0 || !json_read(more))
            break
        after = JSON["completion"]
        print "<div class=\"sample\">"
        text("prompt", "prompt", prompt, "stop")
        text("", "before", before, finish)
        text("", "after", after, JSON["finish"])
        if (reference != "")
            text("", "original", reference, "stop")
        print "</div>"
    } while (++n < ENVIRON["SAMPLES"] && (getline line <files) > 0)
    close(files)
    close("runs/" best "/gen.jsonl")
}

function text(class, heading, content, finish) {
    printf "<div%s><h4>%s%s</h4><pre>%s</pre></div>\n", class == "" ? "" : " class=\"" class "\"", heading,
        finish == "length" ? ", cut off" : "", html(shortened(content, 4000))
}
