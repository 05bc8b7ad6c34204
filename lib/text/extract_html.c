#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "text/encoding.h"
#include "text/extract.h"

enum { MAX_DEPTH = 5000, CHARSET_SEARCH = 1024, CHARSET_MAX = 40 };

enum tag {
    TAG_INLINE,
    TAG_BLOCK,
    TAG_HEADING,
    TAG_BREAK,
    TAG_LIST,
    TAG_ITEM,
    TAG_PREFORMATTED,
    TAG_TABLE,
    TAG_ROW,
    TAG_CELL,
    TAG_QUOTE,
    TAG_TITLE,
    TAG_LEFT_OUT,
};

static const struct {
    const char *name;
    enum tag tag;
} tags[] = {
    {"address", TAG_BLOCK},
    {"annotation", TAG_LEFT_OUT},
    {"annotation-xml", TAG_LEFT_OUT},
    {"article", TAG_BLOCK},
    {"aside", TAG_BLOCK},
    {"audio", TAG_LEFT_OUT},
    {"blockquote", TAG_BLOCK},
    {"body", TAG_BLOCK},
    {"br", TAG_BREAK},
    {"button", TAG_LEFT_OUT},
    {"canvas", TAG_LEFT_OUT},
    {"caption", TAG_BLOCK},
    {"center", TAG_BLOCK},
    {"datalist", TAG_LEFT_OUT},
    {"dd", TAG_BLOCK},
    {"del", TAG_LEFT_OUT},
    {"details", TAG_BLOCK},
    {"dialog", TAG_BLOCK},
    {"dir", TAG_LIST},
    {"div", TAG_BLOCK},
    {"dl", TAG_BLOCK},
    {"dt", TAG_BLOCK},
    {"fieldset", TAG_BLOCK},
    {"figcaption", TAG_BLOCK},
    {"figure", TAG_BLOCK},
    {"footer", TAG_BLOCK},
    {"form", TAG_BLOCK},
    {"h1", TAG_HEADING},
    {"h2", TAG_HEADING},
    {"h3", TAG_HEADING},
    {"h4", TAG_HEADING},
    {"h5", TAG_HEADING},
    {"h6", TAG_HEADING},
    {"header", TAG_BLOCK},
    {"hgroup", TAG_BLOCK},
    {"hr", TAG_BLOCK},
    {"iframe", TAG_LEFT_OUT},
    {"legend", TAG_BLOCK},
    {"li", TAG_ITEM},
    {"listing", TAG_PREFORMATTED},
    {"main", TAG_BLOCK},
    {"map", TAG_LEFT_OUT},
    {"menu", TAG_LIST},
    {"nav", TAG_LEFT_OUT},
    {"noframes", TAG_LEFT_OUT},
    {"noscript", TAG_LEFT_OUT},
    {"object", TAG_LEFT_OUT},
    {"ol", TAG_LIST},
    {"optgroup", TAG_LEFT_OUT},
    {"option", TAG_LEFT_OUT},
    {"p", TAG_BLOCK},
    {"pre", TAG_PREFORMATTED},
    {"q", TAG_QUOTE},
    {"rp", TAG_LEFT_OUT},
    {"rt", TAG_LEFT_OUT},
    {"script", TAG_LEFT_OUT},
    {"search", TAG_BLOCK},
    {"section", TAG_BLOCK},
    {"select", TAG_LEFT_OUT},
    {"style", TAG_LEFT_OUT},
    {"summary", TAG_BLOCK},
    {"svg", TAG_LEFT_OUT},
    {"table", TAG_TABLE},
    {"td", TAG_CELL},
    {"template", TAG_LEFT_OUT},
    {"textarea", TAG_LEFT_OUT},
    {"th", TAG_CELL},
    {"title", TAG_TITLE},
    {"tr", TAG_ROW},
    {"ul", TAG_LIST},
    {"video", TAG_LEFT_OUT},
    {"xmp", TAG_PREFORMATTED},
};

static int compare_tag(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

static enum tag tag_of(const char *name)
{
    size_t i = 0, end = ARRAY_SIZE(tags);
    while (i < end) {
        size_t middle = (i + end) / 2;
        int order = compare_tag(name, &tags[middle].name);
        if (order == 0)
            return tags[middle].tag;
        if (order < 0)
            end = middle;
        else
            i = middle + 1;
    }
    return TAG_INLINE;
}

struct list {
    bool ordered;
    int counter;
    int depth; /* of lists around it in the same cell, itself included */
};

struct html {
    htmlParserCtxtPtr parser;
    struct prose *w;
    struct buf title;
    bool in_title;
    size_t depth;        /* elements that are open */
    size_t left_out;     /* depth of the element whose content is left out; 0: none */
    size_t preformatted; /* the same */
    struct list *lists;
    size_t n_lists, lists_cap;
    bool has_h1;
    bool too_deep;
};

static const char *attribute(const xmlChar **attributes, const char *name)
{
    for (; attributes && *attributes; attributes += 2)
        if (!strcmp((const char *)attributes[0], name))
            return attributes[1] ? (const char *)attributes[1] : "";
    return NULL;
}

static int number_attribute(const xmlChar **attributes, const char *name, int otherwise)
{
    const char *value = attribute(attributes, name);
    long n = value ? strtol(value, NULL, 10) : otherwise;
    return n < -1000000 || n > 1000000 ? otherwise : (int)n;
}

/* What a reader of the page doesn't see, or sees on every page. */
static bool is_left_out(enum tag tag, const xmlChar **attributes)
{
    const char *role = attribute(attributes, "role");
    const char *hidden = attribute(attributes, "aria-hidden");
    return tag == TAG_LEFT_OUT || (role && !strcmp(role, "navigation")) ||
           (hidden && !strcmp(hidden, "true")) ||
           (tag != TAG_INLINE && attribute(attributes, "hidden"));
}

/* Lists in a cell are none in the list that the table lies in: a cell opens a list of depth 0. */
static int list_depth(const struct html *d)
{
    return d->n_lists ? d->lists[d->n_lists - 1].depth : 0;
}

static void push_list(struct html *d, bool ordered, int start, int depth)
{
    ARRAY_GROW(d->lists, d->n_lists, d->lists_cap);
    d->lists[d->n_lists++] = (struct list){ordered, start - 1, depth};
}

static void begin_item(struct html *d, const xmlChar **attributes)
{
    char marker[16] = "-";
    int depth = list_depth(d);
    if (depth && d->lists[d->n_lists - 1].ordered) {
        struct list *list = &d->lists[d->n_lists - 1];
        list->counter = number_attribute(attributes, "value", list->counter + 1);
        snprintf(marker, sizeof marker, "%d.", list->counter);
    }
    prose_item(d->w, depth ? depth : 1, marker);
}

static void begin_element(struct html *d, const char *name, enum tag tag,
                          const xmlChar **attributes)
{
    switch (tag) {
    case TAG_BLOCK:
        if (!d->preformatted)
            prose_end(d->w);
        break;
    case TAG_HEADING:
        d->has_h1 |= name[1] == '1';
        prose_heading(d->w, name[1] - '0');
        break;
    case TAG_BREAK:
        prose_break(d->w);
        break;
    case TAG_LIST:
        prose_end(d->w);
        push_list(d, !strcmp(name, "ol"), number_attribute(attributes, "start", 1),
                  list_depth(d) + 1);
        break;
    case TAG_ITEM:
        begin_item(d, attributes);
        break;
    case TAG_PREFORMATTED:
        if (!d->preformatted) {
            d->preformatted = d->depth;
            prose_preformatted(d->w, true);
        }
        break;
    case TAG_TABLE:
        prose_table(d->w);
        break;
    case TAG_ROW:
        prose_row(d->w);
        break;
    case TAG_CELL:
        prose_cell(d->w);
        prose_span(d->w, (size_t)number_attribute(attributes, "colspan", 1),
                   (size_t)number_attribute(attributes, "rowspan", 1));
        push_list(d, false, 1, 0);
        break;
    case TAG_QUOTE:
        prose_add(d->w, "\"", 1);
        break;
    case TAG_TITLE:
        d->in_title = !d->title.len;
        break;
    case TAG_INLINE:
    case TAG_LEFT_OUT:
        break;
    }
}

static void on_start(void *arg, const xmlChar *xname, const xmlChar **attributes)
{
    struct html *d = arg;
    const char *name = (const char *)xname;
    if (++d->depth > MAX_DEPTH) {
        d->too_deep = true;
        xmlStopParser(d->parser);
        return;
    }
    if (d->left_out)
        return;
    enum tag tag = tag_of(name);
    if (is_left_out(tag, attributes))
        d->left_out = d->depth;
    else
        begin_element(d, name, tag, attributes);
}

static void end_element(struct html *d, enum tag tag)
{
    switch (tag) {
    case TAG_BLOCK:
    case TAG_HEADING:
    case TAG_ITEM:
        if (!d->preformatted)
            prose_end(d->w);
        break;
    case TAG_LIST:
        if (list_depth(d))
            d->n_lists--;
        prose_indent(d->w, list_depth(d));
        break;
    case TAG_PREFORMATTED:
        if (d->preformatted == d->depth) {
            prose_preformatted(d->w, false);
            d->preformatted = 0;
        }
        break;
    case TAG_TABLE:
        prose_table_end(d->w);
        break;
    case TAG_CELL:
        while (list_depth(d))
            d->n_lists--;
        if (d->n_lists)
            d->n_lists--;
        prose_cell_end(d->w);
        break;
    case TAG_QUOTE:
        prose_add(d->w, "\"", 1);
        break;
    case TAG_TITLE:
        d->in_title = false;
        break;
    case TAG_INLINE:
    case TAG_BREAK:
    case TAG_ROW:
    case TAG_LEFT_OUT:
        break;
    }
}

static void on_end(void *arg, const xmlChar *name)
{
    struct html *d = arg;
    if (!d->left_out)
        end_element(d, tag_of((const char *)name));
    else if (d->left_out == d->depth)
        d->left_out = 0;
    d->depth -= d->depth > 0;
}

static void on_text(void *arg, const xmlChar *text, int len)
{
    struct html *d = arg;
    if (d->left_out || len <= 0)
        return;
    if (d->in_title)
        buf_add(&d->title, text, (size_t)len);
    else
        prose_add(d->w, (const char *)text, (size_t)len);
}

/* The value behind charset= or encoding= at p, if it is one: true and a NUL-terminated copy. */
static bool label_at(const char *p, const char *end, const char *key, char label[CHARSET_MAX])
{
    size_t n = strlen(key), len = 0;
    if ((size_t)(end - p) < n || strncasecmp(p, key, n) != 0)
        return false;
    p += n;
    while (p < end && (*p == ' ' || *p == '='))
        p++;
    if (p < end && (*p == '"' || *p == '\''))
        p++;
    while (p < end && len + 1 < CHARSET_MAX && *p > ' ' && !strchr("\"';>?/", *p))
        label[len++] = *p++;
    label[len] = 0;
    return len > 0;
}

/* <meta charset=...>, <meta ... content="...; charset=...">, <?xml ... encoding="..."?> */
static bool declared_charset(const char *p, size_t len, char label[CHARSET_MAX])
{
    const char *end = p + (len < CHARSET_SEARCH ? len : CHARSET_SEARCH);
    const char *key = NULL;
    for (; p < end; p++) {
        if (end - p > 5 && !strncasecmp(p, "<meta", 5))
            key = "charset";
        else if (end - p > 5 && !memcmp(p, "<?xml", 5))
            key = "encoding";
        else if (*p == '>')
            key = NULL;
        if (key && label_at(p, end, key, label))
            return true;
    }
    return false;
}

/* To UTF-8 without NULs, which would end the text for libxml2. */
static void decode(struct buf *text, const char *p, size_t len, const struct html_source *source,
                   struct encoding *how)
{
    char label[CHARSET_MAX];
    const char *charset = source->charset && *source->charset ? source->charset : NULL;
    if (!charset && declared_charset(p, len, label))
        charset = label;
    encoding_decode(text, p, len, charset, source->otherwise, how);
    size_t to = 0;
    for (size_t i = 0; i < text->len; i++)
        if (text->p[i])
            text->p[to++] = text->p[i];
    text->len = to;
    if (text->cap)
        text->p[to] = 0;
}

static int parse(struct html *d, const struct buf *text, struct err *err)
{
    if (text->len > INT_MAX)
        return err_set(err, "HTML of %zu bytes is too large", text->len);
    if (!text->len)
        return 0;
    d->parser = htmlCreateMemoryParserCtxt(text->p, (int)text->len);
    if (!d->parser)
        return err_set(err, "HTML parser: out of memory");
    htmlSAXHandler sax = {.startElement = on_start,
                          .endElement = on_end,
                          .characters = on_text,
                          .ignorableWhitespace = on_text,
                          .cdataBlock = NULL};
    htmlCtxtUseOptions(d->parser, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                                      HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
    xmlSwitchEncoding(d->parser, XML_CHAR_ENCODING_UTF8);
    htmlSAXHandlerPtr own = d->parser->sax;
    void *own_data = d->parser->userData;
    d->parser->sax = &sax;
    d->parser->userData = d;
    htmlParseDocument(d->parser);
    d->parser->sax = own;
    d->parser->userData = own_data;
    htmlFreeParserCtxt(d->parser);
    return d->too_deep ? err_set(err, "elements are nested more than %d deep", MAX_DEPTH) : 0;
}

int extract_html(struct prose_text *t, const char *p, size_t len, const struct html_source *source,
                 struct encoding *how, struct err *err)
{
    struct html d = {.title = BUF_INIT};
    struct buf text = BUF_INIT;
    struct prose_text body;
    prose_text_init(&body);
    decode(&text, p, len, source, how);
    d.w = prose_new(&body);
    int status = parse(&d, &text, err);
    prose_finish(d.w);
    prose_free(d.w);
    if (!status) {
        struct prose *w = prose_new(t);
        if (!d.has_h1 && !source->no_title) {
            prose_heading(w, 1);
            prose_add(w, d.title.p, d.title.len);
        }
        prose_append(w, &body);
        prose_finish(w);
        prose_free(w);
    }
    prose_text_release(&body);
    buf_release(&text);
    buf_release(&d.title);
    free(d.lists);
    return status;
}
