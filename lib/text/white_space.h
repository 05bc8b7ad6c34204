/*
 * white_space: what Python takes for white space: str.isspace, str.strip, and \s of its patterns.
 */
#ifndef TEXT_WHITE_SPACE_H
#define TEXT_WHITE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool is_white_space(uint32_t c);

/* Runs of white space in a text [len], which is valid UTF-8. One more is how many pieces
 * re.split(r"\s+", text) gives. */
size_t white_space_runs(const char *text, size_t len);

#endif
