#include "text/package.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "formats/archive.h"
#include "text/xml.h"

enum { MAX_PARTS = 16384 };

/* What the main part or the file as a whole is called, in the order in which they're looked for. */
static const struct {
    const char *mark;
    enum package_kind kind;
} content_types[] = {
    {"application/epub+zip", PACKAGE_EPUB},
    {"application/vnd.oasis.opendocument.text", PACKAGE_ODT},
    {"application/vnd.oasis.opendocument.presentation", PACKAGE_ODP},
    {"application/vnd.oasis.opendocument.spreadsheet", PACKAGE_ODS},
    {"application/vnd.oasis.opendocument.", PACKAGE_OTHER},
    /* also .docm, .dotx: what matters is the part that is the document itself */
    {"wordprocessingml.document.main+xml", PACKAGE_DOCX},
    {"wordprocessingml.template.main+xml", PACKAGE_DOCX},
    {"application/vnd.ms-word.document.macroEnabled.main+xml", PACKAGE_DOCX},
    {"application/vnd.ms-word.template.macroEnabledTemplate.main+xml", PACKAGE_DOCX},
    {"presentationml.presentation.main+xml", PACKAGE_PPTX},
    {"presentationml.slideshow.main+xml", PACKAGE_PPTX},
    {"presentationml.template.main+xml", PACKAGE_PPTX},
    {"application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml", PACKAGE_PPTX},
    {"spreadsheetml.sheet.main+xml", PACKAGE_XLSX},
    {"spreadsheetml.template.main+xml", PACKAGE_XLSX},
    {"application/vnd.ms-excel.sheet.binary", PACKAGE_XLSB},
    {"application/vnd.ms-excel.sheet", PACKAGE_XLSX},
    {"application/vnd.ms-excel.template", PACKAGE_XLSX},
};

/* Reads the current member, at most `limit` bytes, to the end of data. */
static int read_member(struct members *m, struct buf *data, size_t limit, struct err *err)
{
    for (;;) {
        buf_reserve(data, 64 << 10);
        ssize_t n = members_read(m, data->p + data->len, 64 << 10, err);
        if (n < 0)
            return err_prefix(err, "%s", members_name(m));
        if (n == 0) {
            data->p[data->len] = 0;
            return 0;
        }
        data->len += (size_t)n;
        if (data->len > limit)
            return err_set(err, "%s: more than %zu bytes", members_name(m), limit);
    }
}

int package_kind_of(const void *p, size_t len, enum package_kind *kind, struct err *err)
{
    struct members *m;
    struct buf data = BUF_INIT;
    int status;
    *kind = PACKAGE_NONE;
    if (members_open_memory(&m, ARCHIVE_ZIP, p, len, err))
        return -1;
    while ((status = members_next(m, err)) == 1) {
        const char *name = members_name(m);
        if (strcmp(name, "[Content_Types].xml") != 0 && strcmp(name, "mimetype") != 0)
            continue;
        buf_clear(&data);
        if (read_member(m, &data, 1 << 20, err))
            break; /* whoever reads the members meets it again */
        for (size_t i = 0; i < ARRAY_SIZE(content_types) && *kind == PACKAGE_NONE; i++)
            if (strstr(data.p, content_types[i].mark))
                *kind = content_types[i].kind;
        if (*kind != PACKAGE_NONE)
            break;
    }
    buf_release(&data);
    members_close(m);
    return *kind == PACKAGE_NONE && status < 0 ? -1 : 0;
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t len = strlen(name), n = strlen(suffix);
    return len > n && !strcasecmp(name + len - n, suffix);
}

static bool is_wanted(enum package_kind kind, const char *name)
{
    static const char *const unused[] = {
        "docProps/",      "customXml/",  "ppt/slideLayouts/", "ppt/slideMasters/",
        "ppt/theme/",     "word/theme/", "xl/theme/",         "xl/drawings/",
        "xl/pivotCache/", "xl/charts/",  "xl/externalLinks/", "xl/calcChain.xml"};
    if (kind == PACKAGE_EPUB)
        return ends_in(name, ".xml") || ends_in(name, ".opf") || ends_in(name, ".xhtml") ||
               ends_in(name, ".html") || ends_in(name, ".htm") || ends_in(name, ".xht");
    if (ends_in(name, ".rels"))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(unused); i++)
        if (!strncmp(name, unused[i], strlen(unused[i])))
            return false;
    return ends_in(name, ".xml");
}

size_t package_size(const struct package *package)
{
    size_t size = 0;
    for (size_t i = 0; i < package->n_parts; i++)
        size += package->parts[i].data.len;
    return size;
}

int package_read(struct package *package, enum package_kind kind, const void *p, size_t len,
                 size_t limit, struct err *err)
{
    struct members *m;
    int status;
    *package = (struct package){0};
    if (members_open_memory(&m, ARCHIVE_ZIP, p, len, err))
        return -1;
    while ((status = members_next(m, err)) == 1) {
        if (!is_wanted(kind, members_name(m)))
            continue;
        if (package->n_parts >= MAX_PARTS) {
            status = err_set(err, "more than %d parts", MAX_PARTS);
            break;
        }
        size_t used = package_size(package);
        ARRAY_GROW(package->parts, package->n_parts, package->cap);
        struct package_part *part = &package->parts[package->n_parts++];
        part->name = xstrdup(members_name(m));
        buf_init(&part->data);
        if ((status = read_member(m, &part->data, limit - used, err)) < 0)
            break;
    }
    members_close(m);
    if (status < 0)
        package_release(package);
    return status;
}

void package_release(struct package *package)
{
    for (size_t i = 0; i < package->n_parts; i++) {
        free(package->parts[i].name);
        buf_release(&package->parts[i].data);
    }
    free(package->parts);
    *package = (struct package){0};
}

const struct buf *package_part(const struct package *package, const char *name)
{
    for (size_t i = 0; i < package->n_parts; i++)
        if (!strcmp(package->parts[i].name, name))
            return &package->parts[i].data;
    return NULL;
}

bool package_use(const struct package *package, bool *used, const char *name)
{
    for (size_t i = 0; i < package->n_parts; i++)
        if (!strcmp(package->parts[i].name, name)) {
            bool first = !used[i];
            used[i] = true;
            return first;
        }
    return true;
}

char *package_resolve(const char *part, const char *target)
{
    struct buf path = BUF_INIT;
    const char *slash = strrchr(part, '/');
    if (*target != '/' && slash)
        buf_add(&path, part, (size_t)(slash - part));
    while (*target) {
        size_t n = strcspn(target, "/");
        if (n == 2 && !memcmp(target, "..", 2)) {
            while (path.len && path.p[path.len - 1] != '/')
                path.len--;
            path.len -= path.len != 0;
            if (path.cap)
                path.p[path.len] = 0;
        } else if (n && !(n == 1 && *target == '.')) {
            if (path.len)
                buf_addch(&path, '/');
            buf_add(&path, target, n);
        }
        target += n;
        target += *target == '/';
    }
    return buf_detach(&path, NULL);
}

static void add_relationship(struct relationships *r, struct xml *x, const char *part)
{
    const char *mode = xml_attribute(x, "TargetMode");
    if (mode && !strcmp(mode, "External"))
        return;
    struct relationship item;
    const char *value = xml_attribute(x, "Id");
    item.id = xstrdup(value ? value : "");
    value = xml_attribute(x, "Type");
    item.type = xstrdup(value ? value : "");
    value = xml_attribute(x, "Target");
    item.target = package_resolve(part, value ? value : "");
    ARRAY_GROW(r->items, r->n, r->cap);
    r->items[r->n++] = item;
}

int relationships_read(struct relationships *r, const struct package *package, const char *part,
                       struct err *err)
{
    struct buf name = BUF_INIT;
    const char *slash = strrchr(part, '/'), *file = slash ? slash + 1 : part;
    *r = (struct relationships){0};
    buf_add(&name, part, (size_t)(file - part));
    buf_addf(&name, "_rels/%s.rels", file);
    const struct buf *data = package_part(package, name.p);
    enum xml_event event = XML_END;
    struct xml *x = data ? xml_new(data->p, data->len, err) : NULL;
    while (x && (event = xml_next(x, err)) > XML_END)
        if (event == XML_OPEN && xml_is(x, "rel:Relationship"))
            add_relationship(r, x, part);
    xml_free(x);
    int status = (data && !x) || event == XML_FAILED ? -1 : 0;
    if (status) {
        err_prefix(err, "%s", name.p);
        relationships_release(r);
    }
    buf_release(&name);
    return status;
}

void relationships_release(struct relationships *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->items[i].id);
        free(r->items[i].type);
        free(r->items[i].target);
    }
    free(r->items);
    *r = (struct relationships){0};
}

const char *relationships_by_type(const struct relationships *r, const char *type)
{
    for (size_t i = 0; i < r->n; i++) {
        const char *slash = strrchr(r->items[i].type, '/');
        if (slash && !strcmp(slash + 1, type))
            return r->items[i].target;
    }
    return NULL;
}

const char *relationships_by_id(const struct relationships *r, const char *id)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->items[i].id, id))
            return r->items[i].target;
    return NULL;
}
