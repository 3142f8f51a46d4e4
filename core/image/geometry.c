#include "core/image/geometry.h"

/* Half of the difference, a half rounded to the even number, as Python's round() does and thereby torchvision. */
static uint32_t centre(uint32_t resized, uint32_t count)
{
    uint32_t room = resized - count, half = room / 2;
    return half + (room & half & 1);
}

/* Sizes of at most 65535 by inputs of at most ESP_INPUT_EXTENT_MAX: the products fit in 32 bits, too. */
static void cover(struct esp_fit_axis *x, struct esp_fit_axis *y, uint64_t width, uint64_t height)
{
    if (x->count * height >= y->count * width) {
        x->resized = x->count;
        y->resized = (uint32_t)(x->count * height / width);
    } else {
        y->resized = y->count;
        x->resized = (uint32_t)(y->count * width / height);
    }
    x->offset = centre(x->resized, x->count);
    y->offset = centre(y->resized, y->count);
}

static void mirror(struct esp_fit_axis *axis)
{
    axis->offset = axis->resized - axis->offset - axis->count;
}

/* The orientation says what the stored picture's first row and first column are in the upright one. 2 to 4 mirror, 5 to
 * 8 swap the axes, too. */
void esp_fit_picture(struct esp_fit *fit, uint32_t width, uint32_t height, unsigned orientation, uint32_t input_width,
                     uint32_t input_height)
{
    struct esp_fit_axis x = {.count = input_width}, y = {.count = input_height}; /* of the upright picture */

    fit->swapped = orientation >= 5;
    fit->mirrored_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    fit->mirrored_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    cover(&x, &y, fit->swapped ? height : width, fit->swapped ? width : height);
    fit->x = fit->swapped ? y : x;
    fit->y = fit->swapped ? x : y;
    if (fit->mirrored_x)
        mirror(&fit->x);
    if (fit->mirrored_y)
        mirror(&fit->y);
}
