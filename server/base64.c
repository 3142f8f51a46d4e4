#include "server/base64.h"

enum { BAD = 0xff };

static uint8_t value_of(char character)
{
    if (character >= 'A' && character <= 'Z')
        return (uint8_t)(character - 'A');
    if (character >= 'a' && character <= 'z')
        return (uint8_t)(character - 'a' + 26);
    if (character >= '0' && character <= '9')
        return (uint8_t)(character - '0' + 52);
    return character == '+' ? 62 : character == '/' ? 63 : BAD;
}

size_t base64_bytes_max(size_t length)
{
    return length / 4 * 3;
}

/* A group of four characters without padding: three bytes. */
static bool decode_group(const char *text, uint8_t *out)
{
    uint8_t a = value_of(text[0]), b = value_of(text[1]), c = value_of(text[2]), d = value_of(text[3]);
    if ((a | b | c | d) & 0x80) /* only BAD has the top bit */
        return false;
    out[0] = (uint8_t)(a << 2 | b >> 4);
    out[1] = (uint8_t)(b << 4 | c >> 2);
    out[2] = (uint8_t)(c << 6 | d);
    return true;
}

/* The last group, where `padding` characters (1 or 2) are '='. The bits that no byte uses have to be 0, so that each
 * picture has just one text. */
static bool decode_padded(const char *text, size_t padding, uint8_t *out)
{
    char group[4] = {text[0], text[1], padding == 2 ? 'A' : text[2], 'A'};
    uint8_t bytes[3];
    if (!decode_group(group, bytes) || bytes[3 - padding] != 0)
        return false;
    for (size_t i = 0; i < 3 - padding; i++)
        out[i] = bytes[i];
    return true;
}

bool base64_decode(const char *text, size_t length, uint8_t *out, size_t *size)
{
    size_t padding = 0;

    *size = 0;
    if (length % 4)
        return false;
    if (length && text[length - 1] == '=')
        padding = text[length - 2] == '=' ? 2 : 1;
    size_t groups = length / 4 - (padding ? 1 : 0);
    for (size_t i = 0; i < groups; i++)
        if (!decode_group(text + 4 * i, out + 3 * i))
            return false;
    if (padding && !decode_padded(text + 4 * groups, padding, out + 3 * groups))
        return false;
    *size = base64_bytes_max(length) - padding;
    return true;
}
