#include "text/xml.h"

#include <libxml/xmlreader.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct xml {
    xmlTextReaderPtr reader;
    struct buf name;
    struct buf value;
    bool close_next;    /* the element just opened is empty */
    struct err problem; /* what libxml2 said first */
    int line;
};

static const struct {
    const char *prefix;
    const char *mark; /* a part of the namespace's name */
} namespaces[] = {
    {"w", "/wordprocessingml"}, /* 2006 (transitional) and purl.oclc.org (strict) */
    {"p", "/presentationml"},
    {"a", "/drawingml/2006/main"},
    {"a", "/drawingml/main"},
    {"m", "/officeDocument/2006/math"},
    {"m", "/officeDocument/math"},
    {"mc", "/markup-compatibility/"},
    {"rel", "/package/2006/relationships"},
    {"ct", "/package/2006/content-types"},
    {"s", "/spreadsheetml/"},
    {"opf", "idpf.org/2007/opf"},
    {"opf", "openebook.org/namespaces/oeb-package/"},
    {"dc", "purl.org/dc/elements/"},
    {"container", ":opendocument:xmlns:container"},
    {"enc", "www.w3.org/2001/04/xmlenc"},
    {"office", ":opendocument:xmlns:office:"},
    {"text", ":opendocument:xmlns:text:"},
    {"table", ":opendocument:xmlns:table:"},
    {"style", ":opendocument:xmlns:style:"},
    {"draw", ":opendocument:xmlns:drawing:"},
    {"presentation", ":opendocument:xmlns:presentation:"},
};

/* libxml2 would write lines of its own to stderr. */
__attribute__((constructor)) static void end_without_memory(void)
{
    xmlMemSetup(free, xmalloc, xrealloc, xstrdup);
}

static void on_problem(void *arg, xmlErrorPtr problem)
{
    struct xml *x = arg;
    if (*x->problem.msg || problem->level < XML_ERR_ERROR)
        return;
    const char *message = problem->message ? problem->message : "damaged";
    size_t len = strcspn(message, "\n");
    err_set(&x->problem, "XML line %d: %.*s", problem->line, (int)(len < 200 ? len : 200), message);
}

struct xml *xml_new(const char *p, size_t len, struct err *err)
{
    if (len > INT_MAX) {
        err_set(err, "XML of %zu bytes is too large", len);
        return NULL;
    }
    struct xml *x = xcalloc(1, sizeof *x);
    buf_init(&x->name);
    buf_init(&x->value);
    int options = XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_COMPACT;
    x->reader = xmlReaderForMemory(p, (int)len, NULL, NULL, options);
    if (!x->reader) {
        err_set(err, "XML reader: out of memory");
        xml_free(x);
        return NULL;
    }
    xmlTextReaderSetStructuredErrorHandler(x->reader, on_problem, x);
    return x;
}

void xml_free(struct xml *x)
{
    if (!x)
        return;
    xmlFreeTextReader(x->reader);
    buf_release(&x->name);
    buf_release(&x->value);
    free(x);
}

static void set_name(struct xml *x)
{
    const char *ns = (const char *)xmlTextReaderConstNamespaceUri(x->reader);
    const char *prefix = "?";
    for (size_t i = 0; ns && i < ARRAY_SIZE(namespaces); i++)
        if (strstr(ns, namespaces[i].mark)) {
            prefix = namespaces[i].prefix;
            break;
        }
    buf_clear(&x->name);
    buf_addstr(&x->name, prefix);
    buf_addch(&x->name, ':');
    buf_addstr(&x->name, (const char *)xmlTextReaderConstLocalName(x->reader));
}

enum xml_event xml_next(struct xml *x, struct err *err)
{
    if (x->close_next) {
        x->close_next = false;
        return XML_CLOSE;
    }
    for (;;) {
        int status = xmlTextReaderRead(x->reader);
        if (status < 0) {
            err_set(err, "%s", *x->problem.msg ? x->problem.msg : "damaged XML");
            return XML_FAILED;
        }
        if (status == 0)
            return XML_END;
        switch (xmlTextReaderNodeType(x->reader)) {
        case XML_READER_TYPE_ELEMENT:
            x->close_next = xmlTextReaderIsEmptyElement(x->reader) == 1;
            set_name(x);
            return XML_OPEN;
        case XML_READER_TYPE_END_ELEMENT:
            set_name(x);
            return XML_CLOSE;
        case XML_READER_TYPE_TEXT:
        case XML_READER_TYPE_CDATA:
        case XML_READER_TYPE_WHITESPACE:
        case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
            return XML_TEXT;
        case XML_READER_TYPE_DOCUMENT_TYPE:
            err_set(err, "has a document type declaration, which the format doesn't allow");
            return XML_FAILED;
        default:
            break; /* comments, processing instructions, references to entities */
        }
    }
}

const char *xml_name(const struct xml *x)
{
    return x->name.p;
}

bool xml_is(const struct xml *x, const char *name)
{
    return !strcmp(x->name.p, name);
}

const char *xml_text(const struct xml *x, size_t *len)
{
    const char *text = (const char *)xmlTextReaderConstValue(x->reader);
    if (!text)
        text = "";
    *len = strlen(text);
    return text;
}

const char *xml_attribute_in(struct xml *x, const char *mark, const char *local)
{
    const char *found = NULL;
    for (int more = xmlTextReaderMoveToFirstAttribute(x->reader); more == 1 && !found;
         more = xmlTextReaderMoveToNextAttribute(x->reader)) {
        const char *ns = (const char *)xmlTextReaderConstNamespaceUri(x->reader);
        if (strcmp((const char *)xmlTextReaderConstLocalName(x->reader), local) != 0 ||
            !strstr(ns ? ns : "", mark))
            continue;
        const char *value = (const char *)xmlTextReaderConstValue(x->reader);
        buf_clear(&x->value);
        buf_addstr(&x->value, value ? value : "");
        found = x->value.p;
    }
    xmlTextReaderMoveToElement(x->reader);
    return found;
}

const char *xml_attribute(struct xml *x, const char *local)
{
    return xml_attribute_in(x, "", local);
}

int xml_skip(struct xml *x, struct err *err)
{
    size_t depth = 1;
    while (depth) {
        switch (xml_next(x, err)) {
        case XML_OPEN:
            depth++;
            break;
        case XML_CLOSE:
            depth--;
            break;
        case XML_TEXT:
            break;
        case XML_END:
            return err_set(err, "the XML ends inside an element");
        case XML_FAILED:
            return -1;
        }
    }
    return 0;
}
