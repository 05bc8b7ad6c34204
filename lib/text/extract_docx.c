#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/docx_styles.h"
#include "text/extract.h"
#include "text/xml.h"

/* A footnote or endnote, read before the text that refers to it. */
struct note {
    char *id;
    char label[16]; /* once it has been referred to */
    struct prose_text text;
};

struct notes {
    struct note *items;
    size_t n, cap;
    size_t next; /* where the next reference will most likely go */
};

struct docx {
    struct docx_styles styles;
    struct notes footnotes, endnotes;
    unsigned n_notes; /* referred to so far */
    struct prose *w;
    struct xml *x;
    bool in_code;  /* the paragraph before was a line of a listing */
    bool in_text;  /* inside w:t or m:t */
    bool hidden;   /* the run is */
    bool joined;   /* and so this one did */
    bool join;     /* the paragraph mark before is deleted: this one goes on in the same block */
    bool is_index; /* the paragraph is dropped */
    bool drop_content; /* of the structured document tag: it shows a placeholder */
};

static bool is_off(const char *value)
{
    return value && (!strcmp(value, "0") || !strcmp(value, "false") || !strcmp(value, "off"));
}

/* What is under w:pPr: the style, then what the paragraph itself says. */
static int read_paragraph_properties(struct docx *d, struct docx_paragraph *p, bool *mark_deleted,
                                     struct err *err)
{
    int depth = 1, outline = -1, list = -1, level = -1;
    char *style = NULL;
    enum xml_event event = XML_END;
    *mark_deleted = false;
    while (depth && (event = xml_next(d->x, err)) > XML_END) {
        depth += event == XML_OPEN ? 1 : event == XML_CLOSE ? -1 : 0;
        if (event != XML_OPEN)
            continue;
        const char *value = xml_attribute(d->x, "val");
        int number = value ? (int)strtol(value, NULL, 10) : -1;
        if (xml_is(d->x, "w:pStyle") && value && !style) {
            style = xstrdup(value);
        } else if (xml_is(d->x, "w:outlineLvl")) {
            outline = number;
        } else if (xml_is(d->x, "w:numId")) {
            list = number;
        } else if (xml_is(d->x, "w:ilvl")) {
            level = number;
        } else if (xml_is(d->x, "w:del") || xml_is(d->x, "w:moveFrom")) {
            *mark_deleted = true;
        } else if (xml_is(d->x, "w:pPrChange") || xml_is(d->x, "w:rPrChange")) {
            if (xml_skip(d->x, err)) /* the properties before a tracked change */
                event = XML_FAILED;
            depth--;
        }
        if (event == XML_FAILED)
            break;
    }
    docx_style_resolve(&d->styles, style, p);
    free(style);
    if (outline >= 0)
        p->heading = outline < 9 ? outline + 1 : 0;
    p->list = list < 0 ? p->list : list;
    p->level = level < 0 ? p->level : level;
    return event == XML_FAILED ? -1 : 0;
}

/* The next line of a listing, which is a paragraph for Word. */
static void begin_code(struct docx *d)
{
    if (d->in_code)
        prose_break(d->w);
    else
        prose_preformatted(d->w, true);
    d->in_code = true;
}

static void end_code(struct docx *d)
{
    if (d->in_code)
        prose_preformatted(d->w, false);
    d->in_code = false;
}

static void begin_block(struct docx *d, const struct docx_paragraph *p)
{
    if (p->is_code) {
        begin_code(d);
        return;
    }
    end_code(d);
    prose_indent(d->w, 0);
    if (p->heading) {
        prose_heading(d->w, p->heading);
    } else if (p->list > 0) {
        char marker[16];
        docx_list_marker(&d->styles, p->list, p->level, marker);
        if (*marker)
            prose_item(d->w, p->level + p->offset + 1, marker);
        else
            prose_indent(d->w, p->level + p->offset + 1);
    }
}

static int step(struct docx *d, enum xml_event event, struct err *err);

/* Behind the start tag of w:p: its properties, if there are any, come first. */
static int begin_paragraph(struct docx *d, struct err *err)
{
    struct docx_paragraph p = {0};
    bool mark_deleted = false, joined = d->join && !prose_block_is_empty(d->w);
    enum xml_event event = xml_next(d->x, err);
    bool has_properties = event == XML_OPEN && xml_is(d->x, "w:pPr");
    if (event == XML_FAILED ||
        (has_properties && read_paragraph_properties(d, &p, &mark_deleted, err)))
        return -1;
    d->join = mark_deleted;
    d->is_index = p.is_index;
    if (!joined && !p.is_index)
        begin_block(d, &p);
    return has_properties ? 0 : step(d, event, err);
}

/* The run's properties: only whether it is hidden matters. */
static int read_run_properties(struct docx *d, struct err *err)
{
    int depth = 1;
    enum xml_event event = XML_END;
    while (depth && (event = xml_next(d->x, err)) > XML_END) {
        depth += event == XML_OPEN ? 1 : event == XML_CLOSE ? -1 : 0;
        if (event == XML_OPEN && (xml_is(d->x, "w:vanish") || xml_is(d->x, "w:specVanish")))
            d->hidden = !is_off(xml_attribute(d->x, "val"));
    }
    return event == XML_FAILED ? -1 : 0;
}

static int read_tag_properties(struct docx *d, struct err *err)
{
    int depth = 1;
    enum xml_event event = XML_END;
    d->drop_content = false;
    while (depth && (event = xml_next(d->x, err)) > XML_END) {
        depth += event == XML_OPEN ? 1 : event == XML_CLOSE ? -1 : 0;
        if (event == XML_OPEN && xml_is(d->x, "w:showingPlcHdr"))
            d->drop_content = !is_off(xml_attribute(d->x, "val"));
    }
    return event == XML_FAILED ? -1 : 0;
}

static void add_symbol(struct docx *d)
{
    const char *value = xml_attribute(d->x, "char");
    unsigned long c = value ? strtoul(value, NULL, 16) : 0;
    struct buf u = BUF_INIT;
    if (c < 0x20 || (c >= 0xe000 && c <= 0xf8ff) || d->hidden)
        return; /* a glyph of a symbol font has no character */
    buf_addutf8(&u, c > 0x10ffff ? 0xfffd : (uint32_t)c);
    prose_add(d->w, u.p, u.len);
    buf_release(&u);
}

static void add_note(struct docx *d, struct notes *notes)
{
    const char *id = xml_attribute(d->x, "id");
    for (size_t i = 0; id && i < notes->n; i++) {
        struct note *note = &notes->items[(notes->next + i) % notes->n];
        if (strcmp(note->id, id) != 0)
            continue;
        notes->next += i + 1;
        bool again = *note->label;
        if (!again)
            snprintf(note->label, sizeof note->label, "%u", ++d->n_notes);
        prose_note(d->w, note->label);
        if (!again)
            prose_append(d->w, &note->text);
        prose_note_end(d->w);
        return;
    }
}

static bool is_left_out(const struct xml *x)
{
    static const char *const names[] = {
        "w:del",      "w:moveFrom", "w:instrText", "w:delText",   "w:delInstrText",  "mc:Fallback",
        "w:rt",       "w:sectPr",   "w:tblPr",     "w:tblGrid",   "w:trPr",          "w:tblPrEx",
        "w:sdtEndPr", "m:ctrlPr",   "w:comment",   "w:pPrChange", "w:annotationRef",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (xml_is(x, names[i]))
            return true;
    return false;
}

static int open_element(struct docx *d, struct err *err)
{
    struct xml *x = d->x;
    if (is_left_out(x) || (xml_is(x, "w:sdtContent") && d->drop_content)) {
        d->drop_content = false;
        return xml_skip(x, err);
    }
    if (xml_is(x, "w:p")) {
        return begin_paragraph(d, err);
    } else if (xml_is(x, "w:r")) {
        d->hidden = false;
    } else if (xml_is(x, "w:rPr")) {
        return read_run_properties(d, err);
    } else if (xml_is(x, "w:sdtPr")) {
        return read_tag_properties(d, err);
    } else if (xml_is(x, "w:t") || xml_is(x, "m:t")) {
        d->in_text = true;
    } else if (d->is_index) {
        return 0;
    } else if (xml_is(x, "w:tab") || xml_is(x, "w:ptab")) {
        prose_add(d->w, "\t", 1);
    } else if (xml_is(x, "w:br")) {
        const char *type = xml_attribute(x, "type");
        if (!type || !strcmp(type, "textWrapping"))
            prose_break(d->w);
        else
            prose_add(d->w, " ", 1);
    } else if (xml_is(x, "w:cr")) {
        prose_break(d->w);
    } else if (xml_is(x, "w:noBreakHyphen")) {
        prose_add(d->w, "\xe2\x80\x91", 3);
    } else if (xml_is(x, "w:sym")) {
        add_symbol(d);
    } else if (xml_is(x, "w:footnoteReference")) {
        add_note(d, &d->footnotes);
    } else if (xml_is(x, "w:endnoteReference")) {
        add_note(d, &d->endnotes);
    } else if (xml_is(x, "w:tbl")) {
        end_code(d);
        prose_indent(d->w, 0);
        prose_table(d->w);
    } else if (xml_is(x, "w:tr")) {
        prose_row(d->w);
    } else if (xml_is(x, "w:tc")) {
        prose_cell(d->w);
    } else if (xml_is(x, "w:gridSpan")) {
        const char *value = xml_attribute(x, "val");
        prose_span(d->w, value ? strtoul(value, NULL, 10) : 1, 1);
    } else if (xml_is(x, "w:txbxContent")) {
        end_code(d);
        prose_aside(d->w);
    }
    return 0;
}

static void close_element(struct docx *d)
{
    struct xml *x = d->x;
    if (xml_is(x, "w:t") || xml_is(x, "m:t"))
        d->in_text = false;
    else if (xml_is(x, "w:p") && d->is_index)
        d->is_index = false;
    else if (xml_is(x, "w:tc")) {
        end_code(d);
        prose_cell_end(d->w);
    } else if (xml_is(x, "w:tbl"))
        prose_table_end(d->w);
    else if (xml_is(x, "w:txbxContent")) {
        end_code(d);
        prose_aside_end(d->w);
    } else if (xml_is(x, "w:sdt"))
        d->drop_content = false;
}

static int step(struct docx *d, enum xml_event event, struct err *err)
{
    size_t len;
    if (event == XML_OPEN)
        return open_element(d, err);
    if (event == XML_CLOSE) {
        close_element(d);
    } else if (d->in_text && !d->hidden && !d->is_index) {
        const char *text = xml_text(d->x, &len);
        prose_add(d->w, text, len);
    }
    return 0;
}

/* word/footnotes.xml: each w:footnote or w:endnote into a text of its own. */
static int read_notes(struct docx *d, struct notes *notes, const struct buf *part,
                      const char *element, struct err *err)
{
    enum xml_event event = XML_FAILED;
    d->x = xml_new(part->p, part->len, err);
    while (d->x && (event = xml_next(d->x, err)) > XML_END) {
        if (event == XML_OPEN && xml_is(d->x, element) && !d->w) {
            const char *id = xml_attribute(d->x, "id");
            ARRAY_GROW(notes->items, notes->n, notes->cap);
            struct note *note = &notes->items[notes->n++];
            *note = (struct note){.id = xstrdup(id ? id : "")};
            prose_text_init(&note->text);
            d->w = prose_new(&note->text); /* notes->items doesn't grow before this note ends */
            while ((event = xml_next(d->x, err)) > XML_END &&
                   !(event == XML_CLOSE && xml_is(d->x, element)))
                if (step(d, event, err)) {
                    event = XML_FAILED;
                    break;
                }
            end_code(d);
            prose_finish(d->w);
            prose_free(d->w);
            d->w = NULL;
            if (event == XML_FAILED)
                break;
        }
    }
    xml_free(d->x);
    d->x = NULL;
    return event == XML_FAILED ? -1 : 0;
}

static void notes_release(struct notes *notes)
{
    for (size_t i = 0; i < notes->n; i++) {
        free(notes->items[i].id);
        prose_text_release(&notes->items[i].text);
    }
    free(notes->items);
}

static int read_body(struct docx *d, const struct buf *part, struct prose_text *t, struct err *err)
{
    enum xml_event event = XML_FAILED;
    d->x = xml_new(part->p, part->len, err);
    d->w = prose_new(t);
    while (d->x && (event = xml_next(d->x, err)) > XML_END)
        if (step(d, event, err)) {
            event = XML_FAILED;
            break;
        }
    end_code(d);
    prose_finish(d->w);
    prose_free(d->w);
    xml_free(d->x);
    return event == XML_FAILED ? -1 : 0;
}

static const struct buf *related(const struct package *package, const struct relationships *r,
                                 const char *type)
{
    const char *name = relationships_by_type(r, type);
    return name ? package_part(package, name) : NULL;
}

int extract_docx(struct prose_text *t, const struct package *package, struct err *err)
{
    struct relationships roots, r = {0};
    struct docx d = {0};
    if (relationships_read(&roots, package, "", err))
        return -1;
    const char *name = relationships_by_type(&roots, "officeDocument");
    if (!name)
        name = "word/document.xml";
    const struct buf *body = package_part(package, name);
    int status = body ? 0 : err_set(err, "%s is missing", name);
    if (!status)
        status = relationships_read(&r, package, name, err);
    if (!status)
        status = docx_styles_read(&d.styles, related(package, &r, "styles"),
                                  related(package, &r, "numbering"), err);
    const struct buf *footnotes = related(package, &r, "footnotes");
    const struct buf *endnotes = related(package, &r, "endnotes");
    if (!status && footnotes)
        status = read_notes(&d, &d.footnotes, footnotes, "w:footnote", err);
    if (!status && endnotes)
        status = read_notes(&d, &d.endnotes, endnotes, "w:endnote", err);
    if (!status) {
        status = read_body(&d, body, t, err);
        if (status)
            err_prefix(err, "%s", name);
    }
    docx_styles_release(&d.styles);
    notes_release(&d.footnotes);
    notes_release(&d.endnotes);
    relationships_release(&roots);
    relationships_release(&r);
    return status;
}
