# usage: METRIC_NAME=NAME awk -f table-text.awk table.tsv
#
# The table for eyes: what all runs lack is left out.

BEGIN { FS = "\t" }

NR == 1 {
    for (i = 1; i <= NF; i++)
        at[$i] = i
    n = split("run documents steps tokens loss ppl kept acc seconds tok_per_s memory", wanted, " ")
    title["ppl"] = "perplexity"
    title["kept"] = ENVIRON["METRIC_NAME"]
    title["seconds"] = "time"
    title["tok_per_s"] = "tokens/s"
    title["acc"] = "accuracy"
    next
}

{
    for (i = 1; i <= n; i++) {
        text = shown(wanted[i], $(at[wanted[i]]))
        cell[NR, i] = text
        if (text != "")
            used[i] = 1
        if (length(text) > width[i])
            width[i] = length(text)
    }
}

END {
    for (i = 1; i <= n; i++) {
        name = wanted[i] in title ? title[wanted[i]] : wanted[i]
        cell[1, i] = name
        if (length(name) > width[i])
            width[i] = length(name)
    }
    for (row = 1; row <= NR; row++) {
        line = ""
        for (i = 1; i <= n; i++)
            if (used[i])
                line = line (line == "" ? "" : "  ") sprintf("%" (i == 1 ? "-" : "") width[i] "s", cell[row, i])
        sub(/ +$/, "", line)
        print line
    }
}

function shown(name, text) {
    if (text == "")
        return ""
    if (name == "loss")
        return sprintf("%.3f", text)
    if (name == "ppl")
        return sprintf(text < 1000 ? "%.2f" : "%.4g", text)
    if (name == "acc")
        return sprintf("%.1f %%", 100 * text)
    if (name == "kept")
        return $(at["texts"]) ? text " of " $(at["texts"]) : ""
    if (name == "seconds")
        return text < 60 ? sprintf("%.1f s", text) : sprintf("%d:%02d min", text / 60, text % 60)
    if (name == "tok_per_s")
        return sprintf("%.0f", text)
    if (name == "memory")
        return text < 1e9 ? sprintf("%.0f MB", text / 1e6) : sprintf("%.2f GB", text / 1e9)
    return text
}
