#include "base/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

const char *const progress_choices[] = {"auto", "always", "never", NULL};

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_init(struct progress *p, enum progress_when when)
{
    *p = (struct progress){0};
    p->on = when == PROGRESS_ALWAYS || (when == PROGRESS_AUTO && isatty(STDERR_FILENO));
    p->started = clock_seconds();
    p->last_draw = -1;
}

static size_t terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
        return size.ws_col;
    return 80;
}

void progress_draw(struct progress *p, const char *fmt, ...)
{
    double now = clock_seconds();
    if (!p->on || (p->last_draw >= 0 && now - p->last_draw < 0.1))
        return;
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    size_t width = terminal_width() - 1;
    if (strlen(line) > width && width < sizeof line)
        line[width] = 0;
    fprintf(stderr, "\r%s\033[K", line);
    p->last_draw = now;
    p->dirty = true;
}

void progress_clear(struct progress *p)
{
    if (p->dirty)
        fputs("\r\033[K", stderr);
    p->dirty = false;
    p->last_draw = -1;
}

char *format_duration(double seconds, char out[24])
{
    if (!(seconds >= 0 && seconds < 1e7))
        seconds = 0;
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, 24, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, 24, "%lu:%02lu", s / 60, s % 60);
    return out;
}
