/*
 * number_format: what a spreadsheet shows for a number (ECMA-376 part 1,
 * sections 18.8.30, 18.17.4).
 */
#ifndef TEXT_NUMBER_FORMAT_H
#define TEXT_NUMBER_FORMAT_H

#include <stdbool.h>

#include "base/buf.h"

enum number_kind {
    NUMBER_GENERAL,
    NUMBER_PERCENT,
    NUMBER_DATE,
    NUMBER_TIME,
    NUMBER_DATE_TIME,
    NUMBER_DURATION, /* hours may be more than 23 */
};

struct number_format {
    enum number_kind kind;
    int decimals; /* of a percentage */
};

/* By the code, "yyyy\-mm\-dd" or "0.0%", or by the number of one that is built in. */
struct number_format number_format_of(const char *code);
struct number_format number_format_built_in(unsigned id);

/*
 * Appends the value as people read it: dates as 2024-03-01, times as 14:30 or 14:30:05 whatever
 * their order in the format is, percentages, and otherwise the number in at most 15 digits. Days
 * count from 1900, with the 29 February that it didn't have, or from 1904. What is no date is shown
 * as a number.
 */
void number_format_add(struct buf *out, struct number_format format, double value, bool from_1904);

#endif
