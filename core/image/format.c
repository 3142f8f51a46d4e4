/* Image formats by their first bytes, so that an error can name what was sent. */
#include "espalier/image.h"

#include <string.h>

struct signature {
    const char *format;
    size_t offset, length;
    const char *bytes;
};

/* The more telling signature of two that begin alike comes first. */
static const struct signature signatures[] = {
    {"JPEG", 0, 3, "\xff\xd8\xff"},
    {"PNG", 0, 8, "\x89PNG\r\n\x1a\n"},
    {"GIF", 0, 6, "GIF87a"},
    {"GIF", 0, 6, "GIF89a"},
    {"WebP", 8, 4, "WEBP"},
    {"TIFF", 0, 4, "II*\0"},
    {"TIFF", 0, 4, "MM\0*"},
    {"TIFF", 0, 4, "II+\0"},
    {"TIFF", 0, 4, "MM\0+"},
    {"AVIF", 4, 8, "ftypavif"},
    {"AVIF", 4, 8, "ftypavis"},
    {"HEIF", 4, 8, "ftypheic"},
    {"HEIF", 4, 8, "ftypheix"},
    {"HEIF", 4, 8, "ftyphevc"},
    {"HEIF", 4, 8, "ftyphevx"},
    {"HEIF", 4, 8, "ftypheim"},
    {"HEIF", 4, 8, "ftypheis"},
    {"HEIF", 4, 8, "ftypmif1"},
    {"HEIF", 4, 8, "ftypmsf1"},
    {"JPEG XL", 0, 12, "\0\0\0\x0cJXL \r\n\x87\n"},
    {"JPEG XL", 0, 2, "\xff\x0a"},
    {"JPEG 2000", 0, 12, "\0\0\0\x0cjP  \r\n\x87\n"},
    {"JPEG 2000", 0, 4, "\xff\x4f\xff\x51"},
    {"PSD", 0, 4, "8BPS"},
    {"ICO", 0, 4, "\0\0\1\0"},
    {"PDF", 0, 5, "%PDF-"},
    {"SVG", 0, 4, "<svg"},
    {"BMP", 0, 2, "BM"},
};

static bool begins_like(const struct signature *signature, const uint8_t *bytes, size_t size)
{
    return size >= signature->offset + signature->length &&
           memcmp(bytes + signature->offset, signature->bytes, signature->length) == 0;
}

bool esp_image_is_jpeg(const uint8_t *bytes, size_t size)
{
    return begins_like(&signatures[0], bytes, size);
}

const char *esp_image_format(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++)
        if (begins_like(&signatures[i], bytes, size))
            return signatures[i].format;
    return NULL;
}
