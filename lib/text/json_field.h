/*
 * json_field: members of a JSON object that may be missing.
 */
#ifndef TEXT_JSON_FIELD_H
#define TEXT_JSON_FIELD_H

#include <jansson.h>
#include <stdbool.h>

/* The member, or the fallback where the object lacks it or it is of another type. */
static inline const char *json_field_string(const json_t *object, const char *key,
                                            const char *fallback)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : fallback;
}

static inline bool json_field_bool(const json_t *object, const char *key, bool fallback)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

static inline json_int_t json_field_integer(const json_t *object, const char *key,
                                            json_int_t fallback)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

#endif
