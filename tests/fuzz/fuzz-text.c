/*
 * Files of every kind that ft-text reads. The first byte says what the rest is: a file by its
 * content, one with a suffix, or a part of an office document, so that mutations needn't get
 * through a zip's checksums. Whatever comes in, what comes out is UTF-8 with its headings in place.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "check_text.h"
#include "formats/archive.h"
#include "text/extract.h"
#include "text/harvest.h"
#include "text/pdf_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_document(void *arg, const struct harvest_document *document, struct err *err)
{
    (void)arg;
    (void)err;
    if (document->text)
        check_text(document->text);
    if (document->id && !utf8_is_valid(document->id, strlen(document->id)))
        abort();
    return 0;
}

static void on_report(void *arg, const char *message)
{
    (void)arg;
    if (!*message || strpbrk(message, "\n\r\x1b"))
        abort();
}

static void read_file(const char *name, const uint8_t *p, size_t len)
{
    if (memmem(p, len, "%PDF-", 5))
        return; /* another program would be started for each */
    static const struct harvest_options options = {.max_size = 1 << 20, .max_ratio = 1};
    const struct harvest_sink sink = {on_document, on_report, NULL, NULL};
    struct harvest *h = harvest_new(&options, &sink);
    struct err err;
    harvest_read_memory(h, name, p, len, &err);
    harvest_free(h);
}

/* A part with the given content among others that refer to it. */
static void read_part(int which, const uint8_t *p, size_t len)
{
    static const char *const parts[][2] = {
        {"word/document.xml", "<w:document xmlns:w='/wordprocessingml'><w:p><w:pPr><w:pStyle "
                              "w:val='S'/><w:numPr><w:numId w:val='1'/>"
                              "</w:numPr></w:pPr><w:r><w:t>x</w:t><w:footnoteReference "
                              "w:id='1'/></w:r></w:p></w:document>"},
        {"word/styles.xml", "<w:styles xmlns:w='/wordprocessingml'/>"},
        {"word/numbering.xml", "<w:numbering xmlns:w='/wordprocessingml'/>"},
        {"word/footnotes.xml", "<w:footnotes xmlns:w='/wordprocessingml'/>"},
        {"word/_rels/document.xml.rels",
         "<Relationships xmlns='/package/2006/relationships'><Relationship Type='/styles' "
         "Target='styles.xml'/>"
         "<Relationship Type='/numbering' Target='numbering.xml'/>"
         "<Relationship Type='/footnotes' Target='footnotes.xml'/></Relationships>"},
        {"content.xml", "<x/>"},
        {"styles.xml", "<x/>"},
        {"ppt/presentation.xml", "<p:presentation xmlns:p='/presentationml'><p:sldId "
                                 "xmlns:r='relationships' r:id='a'/></p:presentation>"},
        {"ppt/_rels/presentation.xml.rels",
         "<Relationships xmlns='/package/2006/relationships'><Relationship Id='a' Type='/slide' "
         "Target='s.xml'/>"
         "</Relationships>"},
        {"ppt/s.xml", "<x/>"},
    };
    struct package package = {0};
    struct prose_text t;
    struct err err;
    prose_text_init(&t);
    which %= (int)ARRAY_SIZE(parts);
    for (int i = 0; i < (int)ARRAY_SIZE(parts); i++)
        add_part(&package, parts[i][0], i == which ? (const void *)p : parts[i][1],
                 i == which ? len : strlen(parts[i][1]));
    if ((which < 5   ? extract_docx(&t, &package, &err)
         : which < 7 ? extract_odf(&t, &package, &err)
                     : extract_pptx(&t, &package, &err)) == 0)
        check_text(&t);
    prose_text_release(&t);
    package_release(&package);
}

static void read_pages(const uint8_t *p, size_t len)
{
    struct buf out = BUF_INIT;
    if (utf8_is_valid((const char *)p, len)) {
        pdf_text_flow(&out, (const char *)p, len);
        if (!utf8_is_valid(out.p, out.len))
            abort();
    }
    buf_release(&out);
}

static void read_input(const uint8_t *p, size_t len)
{
    struct input *in;
    struct err err;
    struct buf line = BUF_INIT;
    if (input_open_memory(&in, "x", p, len, &err))
        return;
    for (int i = 0; i < 1000 && input_line(in, &line, 1 << 16, &err) == 1; i++)
        ;
    input_close(in);
    buf_release(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"x",      "x.html", "x.md", "x.jsonl",
                                        "x.fodt", "x.gz",   "x.txt"};
    if (size < 1)
        return 0;
    size_t which = data[0] % 32;
    if (which < ARRAY_SIZE(names))
        read_file(names[which], data + 1, size - 1);
    else if (which == ARRAY_SIZE(names))
        read_input(data + 1, size - 1);
    else if (which == 31)
        read_pages(data + 1, size - 1);
    else
        read_part((int)(which - ARRAY_SIZE(names) - 1), data + 1, size - 1);
    return 0;
}
