/*
 * progress: a line on stderr that is rewritten in place, only where stderr is a terminal.
 */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

enum progress_when { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };
extern const char *const progress_choices[]; /* "auto", "always", "never": for OPT_CHOICE */

struct progress {
    bool on;
    bool dirty;     /* a line stands that must be cleared */
    double started; /* seconds, monotonic */
    double last_draw;
};

void progress_init(struct progress *p, enum progress_when when);
/* Draws at most 10 times a second, cut to the terminal's width. */
void progress_draw(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_clear(struct progress *p); /* before a message, and at the end */

double clock_seconds(void); /* monotonic */
/* "1:02:03" or "4:05" into out, which it returns. */
char *format_duration(double seconds, char out[24]);

#endif
