#include "text/extract.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "formats/archive.h"
#include "text/encoding.h"
#include "text/mail.h"

/* What the suffix of a name says about text, or about what can't be told by its bytes. */
static const struct {
    const char *suffix;
    struct file_type type;
} suffixes[] = {
    {"md", {FILE_MARKDOWN, "markdown", false, NULL}},
    {"markdown", {FILE_MARKDOWN, "markdown", false, NULL}},
    {"mdown", {FILE_MARKDOWN, "markdown", false, NULL}},
    {"mkd", {FILE_MARKDOWN, "markdown", false, NULL}},
    {"qmd", {FILE_MARKDOWN, "markdown", false, NULL}},
    {"rmd", {FILE_MARKDOWN, "markdown", false, NULL}},
    {"html", {FILE_HTML, "html", false, NULL}},
    {"htm", {FILE_HTML, "html", false, NULL}},
    {"xhtml", {FILE_HTML, "html", false, NULL}},
    {"xht", {FILE_HTML, "html", false, NULL}},
    {"jsonl", {FILE_JSONL, "jsonl", false, NULL}},
    {"ndjson", {FILE_JSONL, "jsonl", false, NULL}},
    {"eml", {FILE_MAIL, "eml", false, NULL}},
    {"mht", {FILE_MAIL, "mhtml", false, NULL}},
    {"mhtml", {FILE_MAIL, "mhtml", false, NULL}},
    {"mbox", {FILE_MBOX, "mbox", false, NULL}},
    {"mbx", {FILE_MBOX, "mbox", false, NULL}},
    {"css", {FILE_PLAIN, "css", true, NULL}},
    {"map", {FILE_PLAIN, "map", true, NULL}},
    {"json", {FILE_PLAIN, "json", true, "an array of documents is for ft-tok and ft-lint"}},
    {"ipynb", {FILE_PLAIN, "ipynb", true, "jupyter nbconvert --to markdown makes text of it"}},
    {"csv", {FILE_PLAIN, "csv", true, "a table of documents is for ft-tok and ft-lint"}},
    {"tsv", {FILE_PLAIN, "tsv", true, "a table of documents is for ft-tok and ft-lint"}},
    {"tab", {FILE_PLAIN, "tsv", true, "a table of documents is for ft-tok and ft-lint"}},
    {"xml", {FILE_PLAIN, "xml", true, NULL}},
    {"xsl", {FILE_PLAIN, "xml", true, NULL}},
    {"xsd", {FILE_PLAIN, "xml", true, NULL}},
    {"rels", {FILE_PLAIN, "xml", true, NULL}},
    {"svg", {FILE_PLAIN, "svg", true, NULL}},
    {"yaml", {FILE_PLAIN, "yaml", true, NULL}},
    {"yml", {FILE_PLAIN, "yaml", true, NULL}},
    {"toml", {FILE_PLAIN, "toml", true, NULL}},
    {"ini", {FILE_PLAIN, "ini", true, NULL}},
    {"cfg", {FILE_PLAIN, "ini", true, NULL}},
    {"lock", {FILE_PLAIN, "lock", true, NULL}},
};

/* The source of programs, kept as it is. */
static const char *const source_suffixes[] = {
    "ada",   "adb",   "ads", "asm",   "awk",  "bash", "c",     "cc",     "cjs",    "clj",
    "cmake", "cpp",   "cs",  "cu",    "cxx",  "d",    "dart",  "el",     "erl",    "ex",
    "exs",   "f",     "f90", "f95",   "for",  "fs",   "go",    "gradle", "groovy", "h",
    "hh",    "hpp",   "hs",  "hxx",   "java", "jl",   "js",    "jsx",    "kt",     "kts",
    "lisp",  "lua",   "m",   "mjs",   "ml",   "mli",  "mk",    "mm",     "nim",    "pas",
    "php",   "pl",    "pm",  "proto", "ps1",  "py",   "pyi",   "r",      "rb",     "rs",
    "s",     "scala", "scm", "sh",    "sql",  "st",   "swift", "sv",     "t",      "tcl",
    "ts",    "tsx",   "v",   "vb",    "vhd",  "vhdl", "vue",   "zig",    "zsh",
};

/* What the first bytes say. */
static const struct {
    const char *magic;
    size_t len;
    enum file_kind kind;
    const char *name;
} magics[] = {
    {"{\\rtf", 5, FILE_RTF, "rtf"},
    {"%!PS", 4, FILE_UNSUPPORTED, "postscript"},
    {"\x78\x9f\x3e\x22", 4, FILE_UNSUPPORTED, "tnef (winmail.dat)"},
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, FILE_UNSUPPORTED, "ole"},
    {"\x89PNG", 4, FILE_BINARY, "png"},
    {"\xff\xd8\xff", 3, FILE_BINARY, "jpeg"},
    {"GIF8", 4, FILE_BINARY, "gif"},
    {"\x7f"
     "ELF",
     4, FILE_BINARY, "elf"},
};

static const char *suffix_of(const char *name)
{
    const char *slash = strrchr(name, '/'), *dot = strrchr(slash ? slash : name, '.');
    return dot ? dot + 1 : "";
}

/* Behind a byte order mark, white space and comments. */
static size_t markup_start(const char *p, size_t len)
{
    size_t i = len >= 3 && !memcmp(p, "\xef\xbb\xbf", 3) ? 3 : 0;
    for (;;) {
        while (i < len && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r')))
            i++;
        if (len - i < 4 || memcmp(p + i, "<!--", 4) != 0)
            return i;
        const char *end = memmem(p + i + 4, len - i - 4, "-->", 3);
        if (!end)
            return len;
        i = (size_t)(end - p) + 3;
    }
}

static bool begins(const char *p, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && !strncasecmp(p, with, n);
}

static bool contains(const char *p, size_t len, const char *what)
{
    return memmem(p, len, what, strlen(what)) != NULL;
}

/* HTML, flat ODF or other XML, by the first tag; false for none of these. */
static bool markup_type(const char *p, size_t len, struct file_type *type)
{
    size_t start = markup_start(p, len);
    const char *tag = p + start;
    size_t left = len - start;
    bool xml = begins(tag, left, "<?xml");
    if (begins(tag, left, "<!doctype html") || begins(tag, left, "<html") ||
        (xml && (contains(tag, left, "<html") || contains(tag, left, "<!DOCTYPE html"))))
        *type = (struct file_type){FILE_HTML, "html", false, NULL};
    else if (xml && contains(tag, left, "<office:document"))
        *type = contains(tag, left, "opendocument.spreadsheet")
                    ? (struct file_type){FILE_FLAT_ODS, "ods", false, NULL}
                    : (struct file_type){FILE_FLAT_ODT, "odt", false, NULL};
    else if (xml)
        *type = (struct file_type){FILE_PLAIN, "xml", true, NULL};
    return xml || type->kind != FILE_PLAIN;
}

/* At the beginning; or, as the format allows, among the first 1024 bytes of what isn't text. */
static bool is_pdf(const char *p, size_t len)
{
    size_t start = markup_start(p, len), first = len < 1024 ? len : 1024;
    if (begins(p + start, len - start, "%PDF-"))
        return true;
    return contains(p, first, "%PDF-") && encoding_is_binary(p, len);
}

static bool is_one_of(const char *suffix, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(suffix, list[i]))
            return true;
    return false;
}

/* False for what could be any text. */
static bool magic_type(const char *suffix, const char *p, size_t len, struct file_type *type)
{
    static const char *const old[] = {"doc", "xls", "ppt", "msg", "dot", "pps"};
    if (is_pdf(p, len)) {
        *type = (struct file_type){FILE_PDF, "pdf", false, NULL};
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        if (len < magics[i].len || memcmp(p, magics[i].magic, magics[i].len) != 0)
            continue;
        *type = (struct file_type){magics[i].kind, magics[i].name, false, NULL};
        for (size_t j = 0; j < ARRAY_SIZE(old) && !strcmp(magics[i].name, "ole"); j++)
            if (!strcasecmp(suffix, old[j]))
                type->name = old[j];
        return true;
    }
    return false;
}

/* A message or a mailbox by its fields, where the name doesn't say that it is something else. */
static bool mail_type(const char *suffix, const char *p, size_t len, struct file_type *type)
{
    static const char *const others[] = {"txt", "text", "log", "patch", "diff"};
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (!strcasecmp(suffix, suffixes[i].suffix)) {
            enum file_kind kind = suffixes[i].type.kind;
            *type = suffixes[i].type;
            return kind == FILE_MAIL || kind == FILE_MBOX;
        }
    if (is_one_of(suffix, others, ARRAY_SIZE(others)) ||
        is_one_of(suffix, source_suffixes, ARRAY_SIZE(source_suffixes)))
        return false;
    *type = (struct file_type){FILE_MAIL, "eml", false, NULL};
    if (!mbox_begins(p, len))
        return mail_begins(p, len);
    *type = (struct file_type){FILE_MBOX, "mbox", false, NULL};
    return true;
}

/* Scripts that a program has packed are for browsers. */
static bool has_endless_line(const char *p, size_t len)
{
    enum { ENDLESS = 1000 };
    size_t n = 0;
    for (size_t i = 0; i < len && n <= ENDLESS; i++)
        n = p[i] == '\n' ? 0 : n + 1;
    return n > ENDLESS;
}

static struct file_type text_type(const char *suffix, const char *p, size_t len)
{
    static const char *const scripts[] = {"js", "mjs", "cjs"};
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (!strcasecmp(suffix, suffixes[i].suffix))
            return suffixes[i].type;
    if (!is_one_of(suffix, source_suffixes, ARRAY_SIZE(source_suffixes)))
        return (struct file_type){FILE_PLAIN, "text", false, NULL};
    if (is_one_of(suffix, scripts, ARRAY_SIZE(scripts)) && has_endless_line(p, len))
        return (struct file_type){FILE_PLAIN, "packed script", true, NULL};
    return (struct file_type){FILE_PLAIN, "source", false, NULL};
}

struct file_type file_type_of(const char *name, const void *head, size_t len)
{
    const char *p = head, *suffix = suffix_of(name);
    struct file_type type = {FILE_PLAIN, "text", false, NULL};
    enum archive_kind archive = archive_sniff(p, len);
    if (archive == ARCHIVE_ZIP)
        return (struct file_type){FILE_ZIP, "zip", false, NULL};
    if (archive != ARCHIVE_NONE)
        return (struct file_type){FILE_ARCHIVE, "archive", false, NULL};
    if (magic_type(suffix, p, len, &type) || mail_type(suffix, p, len, &type))
        return type;
    if (encoding_is_binary(p, len))
        return (struct file_type){FILE_BINARY, "binary", false, NULL};
    type.kind = FILE_PLAIN;
    if (!markup_type(p, len, &type))
        return text_type(suffix, p, len);
    if (type.is_data && strcasecmp(suffix, "svg") == 0)
        type.name = "svg";
    return type;
}

void extract_plain(struct prose_text *t, const char *p, size_t len, const char *otherwise,
                   struct encoding *how)
{
    encoding_decode(&t->text, p, len, NULL, otherwise, how);
    encoding_unix_lines(&t->text);
}
