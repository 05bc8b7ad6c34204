#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "text/codepage.h"
#include "text/extract.h"
#include "text/rtf_lex.h"
#include "text/rtf_words.h"

enum { MAX_GROUPS = 10000, MAX_FONTS = 4096, MAX_STYLES = 4096 };

/* Where the text of a group goes. */
enum destination {
    TO_TEXT,
    TO_NOTHING,
    TO_INSIDE, /* nothing, but a group in it may have text */
    TO_FONTS,
    TO_STYLES,
    TO_MARKER, /* of a list's item */
};

/* What a group inherits from the one around it and leaves as it was. */
struct state {
    enum destination to;
    bool note, aside;     /* the group began one, which ends with it */
    bool hidden, deleted; /* text that isn't shown */
    bool in_table, in_list;
    bool begun_outside; /* what `begun` was before the note or aside */
    int style, outline, level;
    int font;
    int skip_after_unicode; /* \uc */
};

struct font {
    int number;
    unsigned codepage;
};

struct style {
    int number;
    int heading; /* level from 1; 0: none */
    bool is_contents;
};

struct rtf {
    struct rtf_lex lex;
    struct prose *w;
    struct state *groups; /* the last is the current one */
    size_t n_groups, groups_cap;
    struct font *fonts;
    size_t n_fonts, fonts_cap;
    struct style *styles;
    size_t n_styles, styles_cap;
    unsigned codepage; /* \ansicpg */
    int default_font;
    struct buf bytes; /* of text that waits to be converted */
    struct buf name, marker, converted;
    int to_skip;           /* characters that stand in for the last \u */
    uint32_t surrogate;    /* the first half of a character */
    bool begun;            /* the paragraph has text */
    bool table, row, cell; /* are open */
    size_t set_apart;      /* notes and asides that are open: no tables in them */
    bool starred;          /* \* was before */
    unsigned n_notes;
};

static struct state *top(struct rtf *r)
{
    return &r->groups[r->n_groups - 1];
}

static unsigned current_codepage(struct rtf *r)
{
    int number = top(r)->font;
    for (size_t i = 0; i < r->n_fonts; i++)
        if (r->fonts[i].number == number)
            return r->fonts[i].codepage;
    return r->codepage;
}

static bool is_ascii(const struct buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if ((unsigned char)b->p[i] >= 0x80)
            return false;
    return true;
}

/* ---- paragraphs and tables ---- */

static const struct style *style_of(const struct rtf *r, int number)
{
    for (size_t i = 0; i < r->n_styles; i++)
        if (r->styles[i].number == number)
            return &r->styles[i];
    return NULL;
}

static void end_table(struct rtf *r)
{
    if (r->cell)
        prose_cell_end(r->w);
    if (r->table)
        prose_table_end(r->w);
    r->table = r->row = r->cell = false;
}

static void begin_cell(struct rtf *r)
{
    if (!r->table)
        prose_table(r->w);
    if (!r->row)
        prose_row(r->w);
    if (!r->cell)
        prose_cell(r->w);
    r->table = r->row = r->cell = true;
}

/* "1." and "b)" stay; whatever else marks an item is a bullet. */
static void begin_item(struct rtf *r)
{
    enum { LONGEST = 8 };
    const char *p = r->marker.p;
    size_t len = r->marker.len;
    char marker[LONGEST + 1] = "-";
    prose_trim(&p, &len);
    bool number = len >= 2 && len <= LONGEST && (p[len - 1] == '.' || p[len - 1] == ')');
    for (size_t i = 0; number && i + 1 < len; i++)
        number = (p[i] >= '0' && p[i] <= '9') || ((p[i] | 0x20) >= 'a' && (p[i] | 0x20) <= 'z');
    if (number) {
        memcpy(marker, p, len);
        marker[len] = 0;
    }
    prose_item(r->w, top(r)->level + 1, marker);
}

/* Before the first text of a paragraph, when its properties are known. */
static void begin_paragraph(struct rtf *r)
{
    const struct state *s = top(r);
    const struct style *style = style_of(r, s->style);
    int heading = s->outline >= 0 && s->outline < 9 ? s->outline + 1 : style ? style->heading : 0;
    r->begun = true;
    if (!r->set_apart) {
        if (s->in_table)
            begin_cell(r);
        else
            end_table(r);
    }
    if (heading && !s->in_table)
        prose_heading(r->w, heading);
    else if (r->marker.len || s->in_list)
        begin_item(r);
    else
        prose_indent(r->w, 0);
    buf_clear(&r->marker);
}

static void end_paragraph(struct rtf *r)
{
    if (r->begun)
        prose_end(r->w);
    r->begun = false;
    buf_clear(&r->marker);
}

static bool is_shown(struct rtf *r)
{
    const struct style *style = style_of(r, top(r)->style);
    return !top(r)->hidden && !top(r)->deleted && !(style && style->is_contents);
}

static void add_text(struct rtf *r, const char *p, size_t len)
{
    switch (top(r)->to) {
    case TO_NOTHING:
    case TO_INSIDE:
        break;
    case TO_FONTS:
    case TO_STYLES:
        buf_add(&r->name, p, len);
        break;
    case TO_MARKER:
        buf_add(&r->marker, p, len);
        break;
    case TO_TEXT:
        if (!len || !is_shown(r))
            break;
        if (!r->begun)
            begin_paragraph(r);
        prose_add(r->w, p, len);
    }
}

static void flush(struct rtf *r)
{
    if (!r->bytes.len)
        return;
    if (is_ascii(&r->bytes)) {
        add_text(r, r->bytes.p, r->bytes.len);
    } else {
        buf_clear(&r->converted);
        codepage_convert(&r->converted, r->bytes.p, r->bytes.len, current_codepage(r));
        add_text(r, r->converted.p, r->converted.len);
    }
    buf_clear(&r->bytes);
}

static void add_character(struct rtf *r, uint32_t c)
{
    struct buf b = BUF_INIT;
    flush(r);
    buf_addutf8(&b, c);
    add_text(r, b.p, b.len);
    buf_release(&b);
}

/* \u, in which values above 32767 are negative, and those above 65535 two. */
static void add_unicode(struct rtf *r, int value)
{
    uint32_t c = (uint32_t)value & 0xffff;
    flush(r);
    if (c >= 0xd800 && c < 0xdc00) {
        r->surrogate = c;
    } else if (c >= 0xdc00 && c < 0xe000 && r->surrogate) {
        add_character(r, 0x10000 + ((r->surrogate - 0xd800) << 10) + (c - 0xdc00));
        r->surrogate = 0;
    } else {
        r->surrogate = 0;
        add_character(r, c >= 0xf000 && c < 0xf100 ? 0x2022 : c); /* a symbol font's: a bullet */
    }
    r->to_skip = top(r)->skip_after_unicode;
}

/* ---- groups ---- */

static void begin_note(struct rtf *r)
{
    char label[16];
    if (!r->begun)
        begin_paragraph(r);
    snprintf(label, sizeof label, "%u", ++r->n_notes);
    prose_note(r->w, label);
    top(r)->note = true;
}

/* What follows in this group stands apart from the paragraph it lies in. */
static void set_apart(struct rtf *r, bool note)
{
    struct state *s = top(r);
    if (s->note || s->aside || !is_shown(r))
        return;
    s->begun_outside = r->begun;
    if (note) {
        begin_note(r);
        s->begun_outside = true;
    } else {
        prose_aside(r->w);
        s->aside = true;
    }
    r->begun = false;
    r->set_apart++;
    s->to = TO_TEXT;
    s->in_table = s->in_list = false;
    s->style = 0;
    s->outline = -1;
}

static int open_group(struct rtf *r, struct err *err)
{
    if (r->n_groups >= MAX_GROUPS)
        return err_set(err, "groups are nested more than %d deep", MAX_GROUPS);
    ARRAY_GROW(r->groups, r->n_groups, r->groups_cap);
    struct state state =
        r->n_groups ? *top(r) : (struct state){.outline = -1, .skip_after_unicode = 1, .font = -1};
    state.note = state.aside = false;
    r->groups[r->n_groups++] = state;
    return 0;
}

/* The name that a style has, its number and level, when its group ends. */
static void add_style(struct rtf *r)
{
    const struct state *s = top(r);
    struct buf *name = &r->name;
    while (name->len && (name->p[name->len - 1] == ';' || name->p[name->len - 1] == ' '))
        name->p[--name->len] = 0;
    struct style style = {.number = s->style};
    if (!strncasecmp(name->p, "heading ", 8) && name->p[8] >= '1' && name->p[8] <= '9')
        style.heading = name->p[8] - '0';
    else if (!strcasecmp(name->p, "title"))
        style.heading = 1;
    else if (s->outline >= 0 && s->outline < 9)
        style.heading = s->outline + 1;
    style.is_contents = !strncasecmp(name->p, "toc ", 4);
    if ((style.heading || style.is_contents) && r->n_styles < MAX_STYLES) {
        ARRAY_GROW(r->styles, r->n_styles, r->styles_cap);
        r->styles[r->n_styles++] = style;
    }
}

static void close_group(struct rtf *r)
{
    flush(r);
    struct state *s = top(r);
    if (s->note || s->aside) {
        end_paragraph(r);
        if (s->note)
            prose_note_end(r->w);
        else
            prose_aside_end(r->w);
        r->begun = s->begun_outside;
        r->set_apart--;
    } else if (s->to == TO_STYLES && s->style > 0) {
        add_style(r);
    }
    if (s->to == TO_STYLES || s->to == TO_FONTS)
        buf_clear(&r->name);
    r->n_groups--;
    r->to_skip = 0;
    r->starred = false;
}

/* ---- control words ---- */

/* A group with a purpose of its own. */
static void begin_destination(struct rtf *r, enum rtf_action action)
{
    struct state *s = top(r);
    if (s->to == TO_NOTHING)
        return;
    switch (action) {
    case RTF_DO_NOTHING:
        s->to = TO_NOTHING;
        break;
    case RTF_DO_INSIDE:
        s->to = TO_INSIDE;
        break;
    case RTF_DO_TEXT:
        s->to = TO_TEXT;
        break;
    case RTF_DO_SHAPE:
        set_apart(r, false);
        break;
    case RTF_DO_FONTS:
        s->to = TO_FONTS;
        break;
    case RTF_DO_STYLES:
        s->to = TO_STYLES;
        break;
    case RTF_DO_MARKER:
        if (s->to == TO_TEXT)
            s->to = TO_MARKER;
        break;
    case RTF_DO_NOTE:
        if (s->to == TO_TEXT)
            set_apart(r, true);
        break;
    default:
        break;
    }
}

static void set_font_codepage(struct rtf *r, int number, unsigned codepage)
{
    if (top(r)->to != TO_FONTS || r->n_fonts >= MAX_FONTS)
        return;
    ARRAY_GROW(r->fonts, r->n_fonts, r->fonts_cap);
    r->fonts[r->n_fonts++] = (struct font){number, codepage};
}

static void end_cell(struct rtf *r)
{
    if (top(r)->to != TO_TEXT || r->set_apart)
        return;
    end_paragraph(r);
    begin_cell(r);
    prose_cell_end(r->w);
    r->cell = false;
}

static void end_row(struct rtf *r)
{
    if (top(r)->to != TO_TEXT || r->set_apart || !r->table)
        return;
    end_paragraph(r);
    if (r->cell)
        prose_cell_end(r->w);
    r->row = r->cell = false;
}

static void reset_paragraph(struct state *s)
{
    s->style = 0;
    s->outline = -1;
    s->level = 0;
    s->in_table = s->in_list = false;
}

/* Properties, which only change the state of the group. */
static void set_property(struct rtf *r, enum rtf_action action, const struct rtf_token *t,
                         unsigned codepage)
{
    struct state *s = top(r);
    bool on = !t->has_value || t->value != 0;
    switch (action) {
    case RTF_DO_RESET_PARAGRAPH:
        if (s->to != TO_MARKER)
            reset_paragraph(s);
        break;
    case RTF_DO_RESET_CHARACTERS:
        s->hidden = s->deleted = false;
        s->font = r->default_font;
        break;
    case RTF_DO_CODEPAGE:
        r->codepage = codepage ? codepage : (unsigned)(t->value > 0 ? t->value : 1252);
        break;
    case RTF_DO_DEFAULT_FONT:
        r->default_font = s->font = t->value;
        break;
    case RTF_DO_FONT:
        s->font = t->value;
        break;
    case RTF_DO_FONT_CHARSET:
        set_font_codepage(r, s->font, codepage_of_charset(t->value, r->codepage));
        break;
    case RTF_DO_FONT_CODEPAGE:
        set_font_codepage(r, s->font, (unsigned)(t->value > 0 ? t->value : 1252));
        break;
    case RTF_DO_STYLE:
        s->style = t->value;
        break;
    case RTF_DO_OUTLINE:
        s->outline = t->value;
        break;
    case RTF_DO_IN_TABLE:
        s->in_table = on;
        break;
    case RTF_DO_LIST:
        s->in_list = t->value > 0 && t->value < 2000; /* 2000: none */
        break;
    case RTF_DO_LEVEL:
        s->level = t->value >= 0 && t->value < 9 ? t->value : 0;
        break;
    case RTF_DO_HIDDEN:
        s->hidden = on;
        break;
    case RTF_DO_DELETED:
        s->deleted = on;
        break;
    case RTF_DO_UNICODE_SKIP:
        s->skip_after_unicode = t->value >= 0 && t->value < 100 ? t->value : 1;
        break;
    default:
        break;
    }
}

static void on_word(struct rtf *r, const struct rtf_token *t)
{
    unsigned value = 0;
    enum rtf_action action = rtf_action_of(t->word, &value);
    bool starred = r->starred;
    r->starred = false;
    if (action != RTF_DO_UNICODE)
        flush(r);
    if (starred && action == RTF_DO_IGNORED)
        action = RTF_DO_NOTHING;
    switch (action) {
    case RTF_DO_UNICODE:
        add_unicode(r, t->value);
        break;
    case RTF_DO_BULLET: /* where a paragraph begins, some write nothing else for an item */
        if (!r->begun && top(r)->to == TO_TEXT && is_shown(r))
            buf_addstr(&r->marker, "-");
        else
            add_character(r, value);
        break;
    case RTF_DO_CHARACTER:
        add_character(r, value);
        break;
    case RTF_DO_PARAGRAPH:
        if (top(r)->to == TO_TEXT)
            end_paragraph(r);
        break;
    case RTF_DO_LINE:
        if (top(r)->to == TO_TEXT && r->begun)
            prose_break(r->w);
        break;
    case RTF_DO_CELL:
        end_cell(r);
        break;
    case RTF_DO_ROW:
        end_row(r);
        break;
    case RTF_DO_NOTHING:
    case RTF_DO_INSIDE:
    case RTF_DO_TEXT:
    case RTF_DO_FONTS:
    case RTF_DO_STYLES:
    case RTF_DO_NOTE:
    case RTF_DO_SHAPE:
    case RTF_DO_MARKER:
        begin_destination(r, action);
        break;
    default:
        set_property(r, action, t, value);
    }
}

static void on_symbol(struct rtf *r, char c)
{
    if (c == '*')
        r->starred = true;
    else if (c == '~')
        add_character(r, 0xa0);
    else if (c == '_')
        add_character(r, 0x2011);
    /* \- is where a word may be divided; \| \: \' of nothing are for indexes or damaged */
}

/* True for what stands in for a character that \u has given. */
static bool is_skipped(struct rtf *r, const struct rtf_token *t)
{
    if (!r->to_skip || t->kind == RTF_OPEN || t->kind == RTF_CLOSE ||
        (t->kind == RTF_WORD && !strcmp(t->word, "u"))) {
        r->to_skip = 0;
        return false;
    }
    r->to_skip--;
    return true;
}

static int read_tokens(struct rtf *r, struct err *err)
{
    struct rtf_token t;
    do {
        rtf_lex_next(&r->lex, &t);
        if (is_skipped(r, &t) && t.kind != RTF_END)
            continue;
        switch (t.kind) {
        case RTF_END:
            return err_set(err, "cut off: %zu groups are still open", r->n_groups);
        case RTF_OPEN:
            flush(r);
            if (open_group(r, err))
                return -1;
            break;
        case RTF_CLOSE:
            close_group(r);
            break;
        case RTF_WORD:
            on_word(r, &t);
            break;
        case RTF_SYMBOL:
            on_symbol(r, t.word[0]);
            break;
        case RTF_BYTE:
            if (t.value)
                buf_addch(&r->bytes, (char)t.value);
            break;
        }
    } while (r->n_groups);
    return 0;
}

int extract_rtf(struct prose_text *t, const char *p, size_t len, struct err *err)
{
    struct rtf r = {.codepage = 1252,
                    .default_font = -1,
                    .bytes = BUF_INIT,
                    .name = BUF_INIT,
                    .marker = BUF_INIT,
                    .converted = BUF_INIT};
    rtf_lex_init(&r.lex, p, len);
    r.w = prose_new(t);
    int status = len && *p == '{' ? read_tokens(&r, err) : err_set(err, "doesn't begin with {");
    if (!status)
        end_table(&r);
    prose_finish(r.w);
    prose_free(r.w);
    free(r.groups);
    free(r.fonts);
    free(r.styles);
    buf_release(&r.bytes);
    buf_release(&r.name);
    buf_release(&r.marker);
    buf_release(&r.converted);
    return status;
}
