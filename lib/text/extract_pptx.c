#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/extract.h"
#include "text/xml.h"

enum { LIST_LEVELS = 9 };

/* One slide or its notes, of which the title comes first wherever it stands. */
struct slide {
    struct xml *x;
    struct prose_text title_text, body_text;
    struct prose *title, *body;
    struct prose *w; /* where the current shape's text goes; NULL: nowhere */
    bool notes;      /* only what the speaker wrote counts */
    bool bulleted;   /* paragraphs of this shape are items unless they say otherwise */
    bool in_text;
    bool begun;  /* the paragraph's first text has been written */
    char bullet; /* of the paragraph: '-', '1', or 0 for none */
    int level;
    int counters[LIST_LEVELS];
};

/* What a placeholder is for (ECMA-376 part 1, section 19.7.10). */
static void choose_target(struct slide *s, const char *type)
{
    if (!type)
        type = "obj";
    bool title = !strcmp(type, "title") || !strcmp(type, "ctrTitle");
    bool repeated = !strcmp(type, "sldNum") || !strcmp(type, "dt") || !strcmp(type, "ftr") ||
                    !strcmp(type, "hdr") || !strcmp(type, "sldImg");
    if (s->notes)
        s->w = !strcmp(type, "body") ? s->body : NULL;
    else
        s->w = title ? s->title : repeated ? NULL : s->body;
    s->bulleted = !s->notes && (!strcmp(type, "obj") || !strcmp(type, "body"));
}

static int read_paragraph_properties(struct slide *s, struct err *err)
{
    int depth = 1;
    enum xml_event event = XML_END;
    const char *level = xml_attribute(s->x, "lvl");
    s->level = level ? (int)strtol(level, NULL, 10) : 0;
    s->level = s->level < 0 ? 0 : s->level >= LIST_LEVELS ? LIST_LEVELS - 1 : s->level;
    while (depth && (event = xml_next(s->x, err)) > XML_END) {
        depth += event == XML_OPEN ? 1 : event == XML_CLOSE ? -1 : 0;
        if (event != XML_OPEN)
            continue;
        if (xml_is(s->x, "a:buNone"))
            s->bullet = 0;
        else if (xml_is(s->x, "a:buChar") || xml_is(s->x, "a:buBlip"))
            s->bullet = '-';
        else if (xml_is(s->x, "a:buAutoNum"))
            s->bullet = '1';
    }
    return event == XML_FAILED ? -1 : 0;
}

/* Before the first text of a paragraph, when its properties are known. */
static void begin_paragraph(struct slide *s)
{
    char marker[16] = "-";
    s->begun = true;
    if (!s->bullet || s->w == s->title) {
        prose_indent(s->w, 0);
        memset(s->counters, 0, sizeof s->counters);
        return;
    }
    if (s->bullet == '1')
        snprintf(marker, sizeof marker, "%d.", ++s->counters[s->level]);
    else
        s->counters[s->level] = 0;
    for (int i = s->level + 1; i < LIST_LEVELS; i++)
        s->counters[i] = 0;
    prose_item(s->w, s->level + 1, marker);
}

static int open_element(struct slide *s, struct err *err)
{
    struct xml *x = s->x;
    if (xml_is(x, "mc:Fallback") || xml_is(x, "p:extLst") || xml_is(x, "a:extLst") ||
        xml_is(x, "p:timing"))
        return xml_skip(x, err);
    if (xml_is(x, "p:sp") || xml_is(x, "p:graphicFrame")) {
        s->w = s->notes ? NULL : s->body;
        s->bulleted = false;
        memset(s->counters, 0, sizeof s->counters);
    } else if (xml_is(x, "p:ph")) {
        choose_target(s, xml_attribute(x, "type"));
    } else if (!s->w) {
        return 0;
    } else if (xml_is(x, "a:p")) {
        prose_end(s->w);
        s->begun = false;
        s->bullet = s->bulleted ? '-' : 0;
        s->level = 0;
    } else if (xml_is(x, "a:pPr")) {
        return read_paragraph_properties(s, err);
    } else if (xml_is(x, "a:fld")) {
        const char *type = xml_attribute(x, "type");
        if (type && (!strcmp(type, "slidenum") || !strncmp(type, "datetime", 8)))
            return xml_skip(x, err);
    } else if (xml_is(x, "a:t")) {
        s->in_text = true;
    } else if (xml_is(x, "a:br")) {
        prose_break(s->w);
    } else if (xml_is(x, "a:tab")) {
        prose_add(s->w, " ", 1);
    } else if (xml_is(x, "a:tbl")) {
        prose_table(s->w);
    } else if (xml_is(x, "a:tr")) {
        prose_row(s->w);
    } else if (xml_is(x, "a:tc")) {
        prose_cell(s->w); /* merged ones are all there */
    }
    return 0;
}

static void close_element(struct slide *s)
{
    struct xml *x = s->x;
    if (!s->w)
        return;
    if (xml_is(x, "a:t"))
        s->in_text = false;
    else if (xml_is(x, "a:tc"))
        prose_cell_end(s->w);
    else if (xml_is(x, "a:tbl"))
        prose_table_end(s->w);
    else if (xml_is(x, "p:txBody"))
        prose_indent(s->w, 0);
}

static int read_events(struct slide *s, struct err *err)
{
    enum xml_event event = XML_FAILED;
    size_t len;
    while (s->x && (event = xml_next(s->x, err)) > XML_END) {
        if (event == XML_OPEN && open_element(s, err))
            return -1;
        if (event == XML_CLOSE)
            close_element(s);
        if (event == XML_TEXT && s->in_text && s->w) {
            const char *text = xml_text(s->x, &len);
            if (!s->begun)
                begin_paragraph(s);
            prose_add(s->w, text, len);
        }
    }
    return event == XML_FAILED ? -1 : 0;
}

/* Reads one part and writes it to w. */
static int read_slide(struct prose *w, const struct buf *part, bool notes, struct err *err)
{
    struct slide s = {.notes = notes};
    prose_text_init(&s.title_text);
    prose_text_init(&s.body_text);
    s.title = prose_new(&s.title_text);
    s.body = prose_new(&s.body_text);
    s.x = xml_new(part->p, part->len, err);
    int status = read_events(&s, err);
    xml_free(s.x);
    prose_finish(s.title);
    prose_finish(s.body);
    prose_free(s.title);
    prose_free(s.body);
    prose_end(w);
    if (s.title_text.text.len) {
        prose_heading(w, 1);
        prose_add(w, s.title_text.text.p, s.title_text.text.len);
    }
    if (notes && s.body_text.text.len) {
        prose_add(w, "Notes:", 6);
        prose_end(w);
    }
    prose_append(w, &s.body_text);
    prose_text_release(&s.title_text);
    prose_text_release(&s.body_text);
    return status;
}

static int add_slide(struct prose *w, const struct package *package, const char *name,
                     struct err *err)
{
    struct relationships r;
    const struct buf *part = package_part(package, name);
    if (!part)
        return err_set(err, "%s is missing", name);
    if (read_slide(w, part, false, err))
        return err_prefix(err, "%s", name);
    if (relationships_read(&r, package, name, err))
        return -1;
    const char *notes_name = relationships_by_type(&r, "notesSlide");
    const struct buf *notes = notes_name ? package_part(package, notes_name) : NULL;
    int status = notes && read_slide(w, notes, true, err) ? err_prefix(err, "%s", notes_name) : 0;
    relationships_release(&r);
    return status;
}

/* The slides in the order of the presentation's list. */
static int add_slides(struct prose *w, const struct package *package, const char *name,
                      struct err *err)
{
    struct relationships r;
    const struct buf *part = package_part(package, name);
    if (!part)
        return err_set(err, "%s is missing", name);
    if (relationships_read(&r, package, name, err))
        return -1;
    bool *used = xcalloc(package->n_parts, sizeof *used);
    struct xml *x = xml_new(part->p, part->len, err);
    enum xml_event event = XML_FAILED;
    while (x && (event = xml_next(x, err)) > XML_END) {
        if (event != XML_OPEN || !xml_is(x, "p:sldId"))
            continue;
        const char *id = xml_attribute_in(x, "elationships", "id");
        const char *target = id ? relationships_by_id(&r, id) : NULL;
        if (target && package_use(package, used, target) && add_slide(w, package, target, err)) {
            event = XML_FAILED;
            break;
        }
    }
    xml_free(x);
    free(used);
    relationships_release(&r);
    return event == XML_FAILED ? -1 : 0;
}

int extract_pptx(struct prose_text *t, const struct package *package, struct err *err)
{
    struct relationships roots;
    if (relationships_read(&roots, package, "", err))
        return -1;
    const char *name = relationships_by_type(&roots, "officeDocument");
    struct prose *w = prose_new(t);
    int status = add_slides(w, package, name ? name : "ppt/presentation.xml", err);
    prose_finish(w);
    prose_free(w);
    relationships_release(&roots);
    return status;
}
