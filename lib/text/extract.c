#include "text/extract.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "formats/archive.h"
#include "text/encoding.h"

/* What the suffix of a name says about text, or about what can't be told by its bytes. */
static const struct {
    const char *suffix;
    enum file_kind kind;
    const char *type;
    bool data;
} suffixes[] = {
    {"md", FILE_MARKDOWN, "markdown", false},
    {"markdown", FILE_MARKDOWN, "markdown", false},
    {"mdown", FILE_MARKDOWN, "markdown", false},
    {"mkd", FILE_MARKDOWN, "markdown", false},
    {"qmd", FILE_MARKDOWN, "markdown", false},
    {"rmd", FILE_MARKDOWN, "markdown", false},
    {"html", FILE_HTML, "html", false},
    {"htm", FILE_HTML, "html", false},
    {"xhtml", FILE_HTML, "html", false},
    {"xht", FILE_HTML, "html", false},
    {"jsonl", FILE_JSONL, "jsonl", false},
    {"ndjson", FILE_JSONL, "jsonl", false},
    {"eml", FILE_UNSUPPORTED, "eml", false},
    {"mbox", FILE_UNSUPPORTED, "mbox", false},
    {"css", FILE_PLAIN, "css", true},
    {"js", FILE_PLAIN, "js", true},
    {"mjs", FILE_PLAIN, "js", true},
    {"cjs", FILE_PLAIN, "js", true},
    {"map", FILE_PLAIN, "map", true},
    {"json", FILE_PLAIN, "json", true},
    {"xml", FILE_PLAIN, "xml", true},
    {"xsl", FILE_PLAIN, "xml", true},
    {"xsd", FILE_PLAIN, "xml", true},
    {"rels", FILE_PLAIN, "xml", true},
    {"svg", FILE_PLAIN, "svg", true},
    {"csv", FILE_PLAIN, "csv", true},
    {"tsv", FILE_PLAIN, "tsv", true},
    {"yaml", FILE_PLAIN, "yaml", true},
    {"yml", FILE_PLAIN, "yaml", true},
    {"toml", FILE_PLAIN, "toml", true},
    {"ini", FILE_PLAIN, "ini", true},
    {"cfg", FILE_PLAIN, "ini", true},
    {"lock", FILE_PLAIN, "lock", true},
};

/* What the first bytes say. */
static const struct {
    const char *magic;
    size_t len;
    enum file_kind kind;
    const char *type;
} magics[] = {
    {"{\\rtf", 5, FILE_UNSUPPORTED, "rtf"},
    {"%!PS", 4, FILE_UNSUPPORTED, "postscript"},
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

/* HTML, flat ODF or other XML, by the first tag. */
static bool markup_kind(const char *p, size_t len, enum file_kind *kind, const char **type,
                        bool *data)
{
    size_t start = markup_start(p, len);
    const char *tag = p + start;
    size_t left = len - start;
    bool xml = begins(tag, left, "<?xml");
    if (begins(tag, left, "<!doctype html") || begins(tag, left, "<html") ||
        (xml && (contains(tag, left, "<html") || contains(tag, left, "<!DOCTYPE html")))) {
        *kind = FILE_HTML;
        *type = "html";
        return true;
    }
    if (!xml)
        return false;
    *type = "xml";
    *kind = FILE_PLAIN;
    *data = true;
    bool flat_odf =
        contains(tag, left, "<office:document") && !contains(tag, left, "opendocument.spreadsheet");
    if (flat_odf) {
        *kind = FILE_ODT;
        *type = "odt";
        *data = false;
    }
    return true;
}

/* At the beginning; or, as the format allows, among the first 1024 bytes of what isn't text. */
static bool is_pdf(const char *p, size_t len)
{
    size_t start = markup_start(p, len), first = len < 1024 ? len : 1024;
    if (begins(p + start, len - start, "%PDF-"))
        return true;
    return contains(p, first, "%PDF-") && encoding_is_binary(p, len);
}

static enum file_kind magic_kind(const char *name, const char *p, size_t len, const char **type)
{
    if (is_pdf(p, len)) {
        *type = "pdf";
        return FILE_PDF;
    }
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
        if (len >= magics[i].len && !memcmp(p, magics[i].magic, magics[i].len)) {
            static const char *const old[] = {"doc", "xls", "ppt", "msg", "dot", "pps"};
            *type = magics[i].type;
            for (size_t j = 0; j < ARRAY_SIZE(old) && !strcmp(*type, "ole"); j++)
                if (!strcasecmp(suffix_of(name), old[j]))
                    *type = old[j];
            return magics[i].kind;
        }
    return FILE_PLAIN;
}

enum file_kind file_kind_of(const char *name, const void *head, size_t len, const char **type,
                            bool *data)
{
    const char *p = head;
    *data = false;
    enum archive_kind archive = archive_sniff(p, len);
    if (archive != ARCHIVE_NONE) {
        *type = archive == ARCHIVE_ZIP ? "zip" : "archive";
        return archive == ARCHIVE_ZIP ? FILE_ZIP : FILE_ARCHIVE;
    }
    enum file_kind kind = magic_kind(name, p, len, type);
    if (kind != FILE_PLAIN)
        return kind;
    if (encoding_is_binary(p, len)) {
        *type = "binary";
        return FILE_BINARY;
    }
    bool markup = markup_kind(p, len, &kind, type, data);
    if (markup && kind != FILE_PLAIN)
        return kind;
    const char *suffix = suffix_of(name);
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
        if (!strcasecmp(suffix, suffixes[i].suffix)) {
            *type = suffixes[i].type;
            *data = suffixes[i].data;
            return suffixes[i].kind;
        }
    if (!markup)
        *type = "text";
    return FILE_PLAIN;
}

int extract_plain(struct prose_text *t, const char *p, size_t len, const char **encoding,
                  struct err *err)
{
    bool guessed;
    const char *used;
    if (encoding_decode(&t->text, p, len, NULL, &used, &guessed, err))
        return -1;
    *encoding = guessed ? used : NULL;
    encoding_unix_lines(&t->text);
    return 0;
}
