#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/extract.h"
#include "text/xml.h"

/* An entry of the manifest (EPUB 3.3, section 5.6.2). */
struct item {
    char *id, *part; /* its name in the package */
    bool is_page;    /* XHTML, or HTML in the books before EPUB */
    bool is_contents;
    bool used;
};

struct book {
    const struct package *package;
    const struct package_part **parts; /* sorted by name */
    struct item *items;                /* sorted by id once the manifest has ended */
    size_t n_items, items_cap;
    char **encrypted; /* names of parts */
    size_t n_encrypted, encrypted_cap;
    struct buf title;
    struct prose_text body;
    struct prose *out; /* to body */
    const char *otherwise;
    struct encoding *how;
    bool has_encoding;
};

static int compare_parts(const void *a, const void *b)
{
    return strcmp((*(const struct package_part *const *)a)->name,
                  (*(const struct package_part *const *)b)->name);
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct item *)a)->id, ((const struct item *)b)->id);
}

static const struct buf *find_part(const struct book *b, const char *name)
{
    struct package_part key = {.name = (char *)(uintptr_t)name};
    const struct package_part *p = &key, **found = bsearch(&p, b->parts, b->package->n_parts,
                                                           sizeof p, compare_parts);
    return found ? &(*found)->data : NULL;
}

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* A part's name for an address in another: escapes undone, no fragment. */
static char *part_for(const char *from, const char *href)
{
    struct buf path = BUF_INIT;
    for (; *href && *href != '#'; href++) {
        int high = *href == '%' ? hex(href[1]) : -1, low = high >= 0 ? hex(href[2]) : -1;
        int c = low >= 0 ? high * 16 + low : (unsigned char)*href;
        if (c)
            buf_addch(&path, (char)c);
        href += low >= 0 ? 2 : 0;
    }
    char *name = package_resolve(from, path.p);
    buf_release(&path);
    return name;
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p && (p = strstr(p, word)); p += n)
        if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
            return true;
    return false;
}

static void add_item(struct book *b, struct xml *x, const char *opf)
{
    const char *value = xml_attribute(x, "id");
    ARRAY_GROW(b->items, b->n_items, b->items_cap);
    struct item *item = &b->items[b->n_items++];
    *item = (struct item){.id = xstrdup(value ? value : "")};
    value = xml_attribute(x, "href");
    item->part = part_for(opf, value ? value : "");
    value = xml_attribute(x, "media-type");
    item->is_page =
        value && (!strcmp(value, "application/xhtml+xml") || !strcmp(value, "text/html") ||
                  !strcmp(value, "text/x-oeb1-document"));
    item->is_contents = has_word(xml_attribute(x, "properties"), "nav");
}

static bool is_encrypted(const struct book *b, const char *part)
{
    for (size_t i = 0; i < b->n_encrypted; i++)
        if (!strcmp(b->encrypted[i], part))
            return true;
    return false;
}

static int add_page(struct book *b, const char *name, struct err *err)
{
    struct html_source source = {.otherwise = b->otherwise, .no_title = true};
    const struct buf *part = find_part(b, name);
    struct prose_text page;
    struct encoding encoding;
    if (!part)
        return err_set(err, "%s is missing", name);
    if (is_encrypted(b, name))
        return err_set(err, "%s is encrypted", name);
    prose_text_init(&page);
    int status = extract_html(&page, part->p, part->len, &source, &encoding, err);
    if (status)
        err_prefix(err, "%s", name);
    else
        prose_append(b->out, &page);
    if (!status && (!b->has_encoding || encoding.guessed))
        *b->how = encoding;
    b->has_encoding = true;
    prose_text_release(&page);
    return status;
}

/* The page of a place in the spine; each counts once, and the table of contents is none. */
static int add_spine_item(struct book *b, const char *id, struct err *err)
{
    struct item key = {.id = (char *)(uintptr_t)(id ? id : "")};
    struct item *item =
        b->n_items ? bsearch(&key, b->items, b->n_items, sizeof key, compare_items) : NULL;
    if (!item)
        return err_set(err, "the spine has \"%.40s\", which the manifest doesn't", key.id);
    if (item->used || !item->is_page || item->is_contents)
        return 0;
    item->used = true;
    return add_page(b, item->part, err);
}

static int read_opf(struct book *b, const char *name, const struct buf *part, struct err *err)
{
    struct xml *x = xml_new(part->p, part->len, err);
    enum xml_event event = XML_FAILED;
    bool in_title = false;
    size_t len;
    int status = x ? 0 : -1;
    while (!status && (event = xml_next(x, err)) > XML_END) {
        if (event == XML_TEXT && in_title) {
            const char *text = xml_text(x, &len);
            buf_add(&b->title, text, len);
        } else if (event == XML_CLOSE && xml_is(x, "dc:title")) {
            in_title = false;
        } else if (event != XML_OPEN) {
            continue;
        } else if (xml_is(x, "dc:title")) {
            in_title = !b->title.len;
        } else if (xml_is(x, "opf:item")) {
            add_item(b, x, name);
        } else if (xml_is(x, "opf:spine") && b->n_items) {
            qsort(b->items, b->n_items, sizeof *b->items, compare_items);
        } else if (xml_is(x, "opf:itemref")) {
            status = add_spine_item(b, xml_attribute(x, "idref"), err);
        }
    }
    xml_free(x);
    return status || event == XML_FAILED ? -1 : 0;
}

/* Calls `each` with an attribute of every element of that name. */
static int each_value(const struct buf *part, const char *element, const char *attribute,
                      void (*each)(struct book *b, const char *value), struct book *b,
                      struct err *err)
{
    struct xml *x = xml_new(part->p, part->len, err);
    enum xml_event event = XML_FAILED;
    while (x && (event = xml_next(x, err)) > XML_END) {
        const char *value =
            event == XML_OPEN && xml_is(x, element) ? xml_attribute(x, attribute) : NULL;
        if (value)
            each(b, value);
    }
    xml_free(x);
    return event == XML_FAILED ? -1 : 0;
}

static void add_encrypted(struct book *b, const char *uri)
{
    enum { MAX_ENCRYPTED = 10000 };
    if (b->n_encrypted >= MAX_ENCRYPTED)
        return;
    ARRAY_GROW(b->encrypted, b->n_encrypted, b->encrypted_cap);
    b->encrypted[b->n_encrypted++] = part_for("", uri);
}

/* The first of several renditions; kept in title until it is read. */
static void keep_root(struct book *b, const char *path)
{
    if (!b->title.len)
        buf_addstr(&b->title, path);
}

static int read_book(struct book *b, struct err *err)
{
    const struct buf *container = find_part(b, "META-INF/container.xml");
    const struct buf *encryption = find_part(b, "META-INF/encryption.xml");
    if (!container)
        return err_set(err, "META-INF/container.xml is missing");
    if (each_value(container, "container:rootfile", "full-path", keep_root, b, err))
        return err_prefix(err, "META-INF/container.xml");
    if (encryption && each_value(encryption, "enc:CipherReference", "URI", add_encrypted, b, err))
        return err_prefix(err, "META-INF/encryption.xml");
    char *name = part_for("", b->title.p);
    const struct buf *part = find_part(b, name);
    buf_clear(&b->title);
    int status = !part                          ? err_set(err, "%s is missing", name)
                 : read_opf(b, name, part, err) ? err_prefix(err, "%s", name)
                                                : 0;
    free(name);
    return status;
}

static bool has_title(const struct prose_text *t)
{
    for (size_t i = 0; i < t->n_headings; i++)
        if (t->headings[i].level == 1)
            return true;
    return false;
}

static void release(struct book *b)
{
    for (size_t i = 0; i < b->n_items; i++) {
        free(b->items[i].id);
        free(b->items[i].part);
    }
    for (size_t i = 0; i < b->n_encrypted; i++)
        free(b->encrypted[i]);
    free(b->encrypted);
    free(b->items);
    free(b->parts);
    buf_release(&b->title);
    prose_text_release(&b->body);
}

int extract_epub(struct prose_text *t, const struct package *package, const char *otherwise,
                 struct encoding *how, struct err *err)
{
    struct book b = {.package = package, .title = BUF_INIT, .otherwise = otherwise, .how = how};
    *how = (struct encoding){"UTF-8", false};
    b.parts = xcalloc(package->n_parts + 1, sizeof *b.parts);
    for (size_t i = 0; i < package->n_parts; i++)
        b.parts[i] = &package->parts[i];
    qsort(b.parts, package->n_parts, sizeof *b.parts, compare_parts);
    prose_text_init(&b.body);
    b.out = prose_new(&b.body);
    int status = read_book(&b, err);
    prose_finish(b.out);
    prose_free(b.out);
    if (!status) {
        struct prose *w = prose_new(t);
        if (b.body.text.len && !has_title(&b.body)) {
            prose_heading(w, 1);
            prose_add(w, b.title.p, b.title.len);
        }
        prose_append(w, &b.body);
        prose_finish(w);
        prose_free(w);
    }
    release(&b);
    return status;
}
