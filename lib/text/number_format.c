#include "text/number_format.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* What the letters of a code say. */
struct letters {
    bool date, month, time, elapsed, percent, point;
    int decimals;
};

/* Behind what is shown as it is: "...", \x, _x, *x; or at [...], which sets `elapsed` for hours. */
static const char *skip_literal(const char *p, struct letters *l)
{
    if (*p == '"') {
        const char *end = strchr(p + 1, '"');
        return end ? end + 1 : p + strlen(p);
    }
    if (*p == '[') {
        const char *end = strchr(p, ']');
        size_t n = strspn(p + 1, "hHmMsS");
        l->elapsed |= n > 0 && p[n + 1] == ']';
        return end ? end + 1 : p + strlen(p);
    }
    if (*p == '\\' || *p == '_' || *p == '*')
        return p + 1 + (p[1] != 0);
    return p;
}

struct number_format number_format_of(const char *code)
{
    struct letters l = {0};
    if (!strcasecmp(code, "general"))
        return (struct number_format){NUMBER_GENERAL, 0};
    for (const char *p = code; *p && *p != ';';) {
        const char *behind = skip_literal(p, &l);
        if (behind != p) {
            p = behind;
            continue;
        }
        char c = (char)tolower((unsigned char)*p++);
        l.date |= c == 'y' || c == 'd';
        l.month |= c == 'm';
        l.time |= c == 'h' || c == 's';
        l.percent |= c == '%';
        l.point |= c == '.';
        l.decimals += l.point && (c == '0' || c == '#') && l.decimals < 9;
    }
    bool date = l.date || (l.month && !l.time && !l.elapsed);
    if (l.elapsed)
        return (struct number_format){NUMBER_DURATION, 0};
    if (date)
        return (struct number_format){l.time ? NUMBER_DATE_TIME : NUMBER_DATE, 0};
    if (l.time)
        return (struct number_format){NUMBER_TIME, 0};
    return (struct number_format){l.percent ? NUMBER_PERCENT : NUMBER_GENERAL, l.decimals};
}

struct number_format number_format_built_in(unsigned id)
{
    enum number_kind kind = NUMBER_GENERAL;
    if (id == 9 || id == 10)
        return (struct number_format){NUMBER_PERCENT, id == 10 ? 2 : 0};
    if ((id >= 14 && id <= 17) || (id >= 27 && id <= 31) || id == 36 || (id >= 50 && id <= 54) ||
        id == 57 || id == 58)
        kind = NUMBER_DATE;
    else if ((id >= 18 && id <= 21) || (id >= 32 && id <= 35) || id == 45 || id == 47)
        kind = NUMBER_TIME;
    else if (id == 22)
        kind = NUMBER_DATE_TIME;
    else if (id == 46)
        kind = NUMBER_DURATION;
    return (struct number_format){kind, 0};
}

/* Days from 1970-01-01 to a date of the Gregorian calendar, whose years begin in March here. */
static void add_date(struct buf *out, int64_t days)
{
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    buf_addf(out, "%04d-%02d-%02d", (int)(yoe + era * 400 + (month <= 2)), (int)month, (int)day);
}

static void add_time(struct buf *out, int64_t seconds)
{
    buf_addf(out, "%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60));
    if (seconds % 60)
        buf_addf(out, ":%02d", (int)(seconds % 60));
}

static void add_serial_date(struct buf *out, int64_t serial, bool from_1904)
{
    enum { FROM_1900 = 25569, SHIFT_1904 = 1462, LEAP_BUG = 60 }; /* 25569 is 1970-01-01 */
    if (from_1904)
        serial += SHIFT_1904;
    if (serial == LEAP_BUG)
        buf_addstr(out, "1900-02-29");
    else
        add_date(out, serial - FROM_1900 + (serial < LEAP_BUG));
}

void number_format_add(struct buf *out, struct number_format format, double value, bool from_1904)
{
    enum { LAST_DAY = 2958466 }; /* 10000-01-01 */
    bool is_time = format.kind != NUMBER_GENERAL && format.kind != NUMBER_PERCENT;
    if (!isfinite(value) || (is_time && (value < 0 || value >= LAST_DAY)))
        format.kind = NUMBER_GENERAL;
    int64_t seconds =
        format.kind == NUMBER_GENERAL || format.kind == NUMBER_PERCENT ? 0 : llround(value * 86400);
    switch (format.kind) {
    case NUMBER_GENERAL:
        buf_addf(out, "%.15g", value);
        break;
    case NUMBER_PERCENT:
        buf_addf(out, "%.*f%%", format.decimals, value * 100);
        break;
    case NUMBER_DATE_TIME:
        add_serial_date(out, seconds / 86400, from_1904);
        buf_addch(out, ' ');
        add_time(out, seconds % 86400);
        break;
    case NUMBER_DATE:
        add_serial_date(out, (int64_t)value, from_1904);
        break;
    case NUMBER_TIME:
        add_time(out, seconds % 86400);
        break;
    case NUMBER_DURATION:
        add_time(out, seconds);
        break;
    }
}
