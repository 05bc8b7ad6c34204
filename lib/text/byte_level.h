/*
 * byte_level: the characters that stand for bytes in a byte-level vocabulary (GPT-2's
 * bytes_to_unicode): printable ones for themselves, the others from U+0100 on.
 */
#ifndef TEXT_BYTE_LEVEL_H
#define TEXT_BYTE_LEVEL_H

#include <stdint.h>

uint32_t byte_level_char(uint8_t byte);
int byte_level_byte(uint32_t c); /* -1: stands for none */

#endif
