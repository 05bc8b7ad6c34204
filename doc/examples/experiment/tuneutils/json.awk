# Reads a JSON text into the array JSON: JSON["messages", 0, "role"] and so on, by the text alone. Included by
# awk -f json.awk -f program.awk. Strings are in UTF-8; null is absent; an array or object has its number of members
# in JSON[path, "#"].
#
# json_read(text) returns 1, or 0 if the text isn't JSON, or nested more than 30 deep (mawk's stack is small).

function json_read(text) {
    split("", JSON)
    JSON_TEXT = text
    JSON_AT = 1
    JSON_BAD = 0
    json_value("", 0)
    json_blanks()
    return !JSON_BAD && JSON_AT > length(JSON_TEXT)
}

function json_blanks() {
    while (index(" \t\r\n", substr(JSON_TEXT, JSON_AT, 1)) && JSON_AT <= length(JSON_TEXT))
        JSON_AT++
}

# The value at JSON_AT, under this path.
function json_value(path, depth,    c, text) {
    json_blanks()
    c = substr(JSON_TEXT, JSON_AT, 1)
    if (depth > 30)
        JSON_BAD = 1
    else if (c == "{" || c == "[")
        json_members(path, depth, c == "{")
    else if (c == "\"")
        JSON[path] = json_string()
    else if (match(substr(JSON_TEXT, JSON_AT, 40), /^(true|false|null|-?[0-9][0-9.eE+-]*)/)) {
        text = substr(JSON_TEXT, JSON_AT, RLENGTH)
        JSON_AT += RLENGTH
        if (text != "null")
            JSON[path] = text
    } else
        JSON_BAD = 1
}

function json_members(path, depth, named,    n, name, close_mark) {
    close_mark = named ? "}" : "]"
    JSON_AT++
    json_blanks()
    for (n = 0; !JSON_BAD && substr(JSON_TEXT, JSON_AT, 1) != close_mark; n++) {
        if (n) {
            if (substr(JSON_TEXT, JSON_AT++, 1) != ",")
                JSON_BAD = 1
            json_blanks()
        }
        name = n
        if (named) {
            name = json_string()
            json_blanks()
            if (substr(JSON_TEXT, JSON_AT++, 1) != ":")
                JSON_BAD = 1
        }
        json_value(path == "" ? name : path SUBSEP name, depth + 1)
        json_blanks()
    }
    JSON_AT++
    JSON[path, "#"] = n
}

function json_string(    out, rest, c) {
    if (substr(JSON_TEXT, JSON_AT++, 1) != "\"") {
        JSON_BAD = 1
        return ""
    }
    for (;;) {
        rest = substr(JSON_TEXT, JSON_AT, 2000)
        if (!match(rest, /["\\]/)) {
            out = out rest
            JSON_AT += length(rest)
            if (rest == "") {
                JSON_BAD = 1
                return out
            }
            continue
        }
        out = out substr(rest, 1, RSTART - 1)
        JSON_AT += RSTART
        if (substr(rest, RSTART, 1) == "\"")
            return out
        c = substr(JSON_TEXT, JSON_AT++, 1)
        if (c == "u")
            out = out json_utf8(json_unit())
        else if (index("\"\\/", c) && c != "")
            out = out c
        else if (index("bfnrt", c) && c != "")
            out = out substr("\b\f\n\r\t", index("bfnrt", c), 1)
        else
            JSON_BAD = 1
    }
}

# Four hexadecimal digits; and four more where they are the first half of a pair.
function json_unit(    i, n, low) {
    for (i = 0; i < 4; i++)
        n = n * 16 + index("123456789abcdef", tolower(substr(JSON_TEXT, JSON_AT++, 1)))
    if (n >= 55296 && n < 56320 && substr(JSON_TEXT, JSON_AT, 2) == "\\u") {
        JSON_AT += 2
        low = json_unit()
        return low >= 56320 && low < 57344 ? 65536 + (n - 55296) * 1024 + low - 56320 : 65533
    }
    return n
}

# The bytes of a character; what can't be one is U+FFFD.
function json_utf8(n) {
    if (n == 0 || n >= 55296 && n < 57344)
        n = 65533
    if (n < 128)
        return sprintf("%c", n)
    if (n < 2048)
        return sprintf("%c%c", 192 + int(n / 64), 128 + n % 64)
    if (n < 65536)
        return sprintf("%c%c%c", 224 + int(n / 4096), 128 + int(n / 64) % 64, 128 + n % 64)
    return sprintf("%c%c%c%c", 240 + int(n / 262144), 128 + int(n / 4096) % 64, 128 + int(n / 64) % 64, 128 + n % 64)
}
