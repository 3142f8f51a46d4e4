/* Convolutions that make poor matrices, in FP32.
 *
 * Depthwise ones have one input channel for each group: the outputs of a row are neighbours in the padded channel
 * (patches.h), so that each position of the kernel adds a moved row to them. Those of few pixels, linear layers above
 * all, would leave most lanes empty: here a lane is an input, and each output a dot product. Weights are packed as
 * [output channels][inputs, filled up to vectors] for both.
 *
 * Included by the FP32 kernel sets after register_gemm.h. */

enum { FEW_PIXELS = 4, DOT_SUMS = 4 };

static bool is_depthwise(const struct esp_conv *conv)
{
    return conv->groups > 1 && conv->in.channels == conv->groups;
}

static bool has_few_pixels(const struct esp_conv *conv)
{
    return (size_t)conv->out.height * conv->out.width <= FEW_PIXELS;
}

static bool is_direct(const struct esp_conv *conv)
{
    return is_depthwise(conv) || has_few_pixels(conv);
}

static size_t filter_length(const struct esp_conv *conv)
{
    return (size_t)(conv->in.channels / conv->groups) * conv->window.kernel_h * conv->window.kernel_w;
}

static size_t filled_up(size_t length)
{
    return (length + VECTOR_WORDS - 1) / VECTOR_WORDS * VECTOR_WORDS;
}

static size_t direct_weight_bytes(const struct esp_conv *conv)
{
    return conv->out.channels * filled_up(filter_length(conv)) * sizeof(float);
}

static void direct_pack(const struct esp_conv *conv, const float *weights, float *packed)
{
    size_t length = filter_length(conv), room = filled_up(length);

    memset(packed, 0, direct_weight_bytes(conv));
    for (size_t channel = 0; channel < conv->out.channels; channel++)
        memcpy(packed + channel * room, weights + channel * length, length * sizeof *weights);
}

/* ---- depthwise ---- */

/* Sums of one output channel, [height][width], with room for a vector too much. */
static void add_moved_rows(const struct esp_conv *conv, const struct patches *p, const float *padded,
                           const float *weights, float *sums)
{
    const struct esp_window *w = &conv->window;

    for (size_t y = 0; y < conv->out.height; y++, sums += conv->out.width)
        for (size_t x = 0; x < conv->out.width; x += VECTOR_WORDS) {
            vector sum = {0};
            for (size_t ky = 0; ky < w->kernel_h; ky++)
                for (size_t kx = 0; kx < w->kernel_w; kx++) {
                    const float *row = padded + (y * w->stride_h + ky * w->dilation_h) * p->padded_row +
                                       column_at(w, p, kx * w->dilation_w);
                    sum += broadcast(weights[ky * w->kernel_w + kx]) * load(row + x);
                }
            store(sums + x, sum);
        }
}

static size_t depthwise_words(const struct esp_conv *conv)
{
    struct patches p = patches_of(conv, BLOCK);
    return padded_words(conv, &p) + VECTOR_WORDS + p.pixels + VECTOR_WORDS;
}

static void depthwise(const struct esp_conv *conv, const struct epilogue *e, const float *in, uint32_t *padded)
{
    struct patches p = patches_of(conv, BLOCK);
    size_t plane = (size_t)conv->in.height * conv->in.width, outputs = conv->out.channels / conv->groups;
    float *sums = (float *)padded + padded_words(conv, &p) + VECTOR_WORDS;

    memset(padded, 0, (padded_words(conv, &p) + VECTOR_WORDS) * sizeof *padded);
    for (size_t channel = 0; channel < conv->out.channels; channel++) {
        if (channel % outputs == 0)
            pad_channel(conv, &p, 0, in + channel / outputs * plane, NULL, 0, p.padded_height, padded);
        add_moved_rows(conv, &p, (const float *)padded,
                       (const float *)conv->weights + channel * filled_up(filter_length(conv)), sums);
        finish_row(e, sums, p.pixels, conv->bias[channel], channel * p.pixels);
    }
}

/* ---- few pixels ---- */

static float sum_lanes(vector values)
{
    float sum = 0;
    for (size_t lane = 0; lane < VECTOR_WORDS; lane++)
        sum += values[lane];
    return sum;
}

/* `length` is a multiple of a vector's. */
static float dot(const float *a, const float *b, size_t length)
{
    vector sums[DOT_SUMS] = {{0}};
    size_t i = 0;

    for (; i + DOT_SUMS * VECTOR_WORDS <= length; i += DOT_SUMS * VECTOR_WORDS)
#pragma GCC unroll 4
        for (size_t s = 0; s < DOT_SUMS; s++)
            sums[s] += load(a + i + s * VECTOR_WORDS) * load(b + i + s * VECTOR_WORDS);
    for (; i < length; i += VECTOR_WORDS)
        sums[0] += load(a + i) * load(b + i);
    return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/* The inputs of one output pixel, in the order of the weights; `in` is the group's first channel. */
static void gather_inputs(const struct esp_conv *conv, const float *in, size_t y, size_t x, float *out)
{
    const struct esp_window *w = &conv->window;
    size_t plane = (size_t)conv->in.height * conv->in.width;

    for (size_t c = 0; c < conv->in.channels / conv->groups; c++, in += plane)
        for (size_t ky = 0; ky < w->kernel_h; ky++)
            for (size_t kx = 0; kx < w->kernel_w; kx++) {
                size_t row = y * w->stride_h + ky * w->dilation_h - w->padding_h;
                size_t column = x * w->stride_w + kx * w->dilation_w - w->padding_w;
                bool inside = row < conv->in.height && column < conv->in.width; /* wraps where it is above or left */
                *out++ = inside ? in[row * conv->in.width + column] : 0;
            }
}

static void few_pixels(const struct esp_conv *conv, const struct epilogue *e, const float *in, float *inputs)
{
    size_t room = filled_up(filter_length(conv)), pixels = (size_t)conv->out.height * conv->out.width;
    size_t outputs = conv->out.channels / conv->groups;
    size_t group_floats = (size_t)(conv->in.channels / conv->groups) * conv->in.height * conv->in.width;
    float sums[FEW_PIXELS];

    memset(inputs, 0, pixels * room * sizeof *inputs);
    for (size_t channel = 0; channel < conv->out.channels; channel++) {
        if (channel % outputs == 0)
            for (size_t i = 0; i < pixels; i++)
                gather_inputs(conv, in + channel / outputs * group_floats, i / conv->out.width, i % conv->out.width,
                              inputs + i * room);
        for (size_t i = 0; i < pixels; i++)
            sums[i] = dot((const float *)conv->weights + channel * room, inputs + i * room, room);
        finish_row(e, sums, pixels, conv->bias[channel], channel * pixels);
    }
}

/* ---- both ---- */

static size_t direct_workspace_bytes(const struct esp_conv *conv)
{
    size_t words = is_depthwise(conv) && !has_few_pixels(conv) ? depthwise_words(conv)
                                                               : FEW_PIXELS * filled_up(filter_length(conv));
    return words * sizeof(float);
}

static void direct(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    for (size_t i = 0; i < images->count; i++) {
        struct epilogue e = epilogue_of(conv, images, i);
        if (has_few_pixels(conv))
            few_pixels(conv, &e, images->in[i], workspace);
        else
            depthwise(conv, &e, images->in[i], workspace);
    }
}
