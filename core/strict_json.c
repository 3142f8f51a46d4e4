#include "core/strict_json.h"

#include <string.h>

static bool listed(const char *const *names, const char *name)
{
    for (; *names; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

bool esp_json_members(const json_t *object, const char *const *names, const char *where, struct esp_error *err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object)) {
        esp_fail(err, ESP_ERROR_MODEL, "%s has to be an object", where);
        return false;
    }
    json_object_foreach((json_t *)object, name, value)
    {
        if (!listed(names, name)) {
            esp_fail(err, ESP_ERROR_MODEL, "%s: \"%.64s\" is not a member that this version knows", where, name);
            return false;
        }
    }
    return true;
}

static bool in_bounds(const json_t *number, uint32_t least, uint32_t most, uint32_t *value)
{
    json_int_t integer = json_integer_value(number);
    if (!json_is_integer(number) || integer < (json_int_t)least || integer > (json_int_t)most)
        return false;
    *value = (uint32_t)integer;
    return true;
}

bool esp_json_extent(const json_t *object, const char *member, uint32_t least, uint32_t most, uint32_t otherwise,
                     uint32_t *value, const char *where, struct esp_error *err)
{
    const json_t *number = json_object_get(object, member);

    *value = otherwise;
    if (number ? in_bounds(number, least, most, value) : otherwise >= least && otherwise <= most)
        return true;
    esp_fail(err, ESP_ERROR_MODEL, "%s: %s has to be a whole number from %u to %u", where, member, least, most);
    return false;
}

bool esp_json_pair(const json_t *object, const char *member, uint32_t least, uint32_t most, uint32_t otherwise,
                   uint32_t *vertical, uint32_t *horizontal, const char *where, struct esp_error *err)
{
    const json_t *pair = json_object_get(object, member);

    if (!json_is_array(pair)) {
        bool good = esp_json_extent(object, member, least, most, otherwise, vertical, where, err);
        *horizontal = *vertical;
        return good;
    }
    if (json_array_size(pair) == 2 && in_bounds(json_array_get(pair, 0), least, most, vertical) &&
        in_bounds(json_array_get(pair, 1), least, most, horizontal))
        return true;
    esp_fail(err, ESP_ERROR_MODEL, "%s: %s has to be one or two whole numbers from %u to %u", where, member, least,
             most);
    return false;
}

bool esp_json_flag(const json_t *object, const char *member, bool otherwise, bool *value, const char *where,
                   struct esp_error *err)
{
    const json_t *flag = json_object_get(object, member);

    *value = flag ? json_is_true(flag) : otherwise;
    if (!flag || json_is_boolean(flag))
        return true;
    esp_fail(err, ESP_ERROR_MODEL, "%s: %s has to be true or false", where, member);
    return false;
}
