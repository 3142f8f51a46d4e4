#include "server/v2/cut.h"

#include "server/problem.h"

#include <stdio.h>
#include <string.h>

/* The data lies at {"inputs": [{"data": here: so deep that no deeper level needs to be known. */
enum { LEVELS = 3 };

struct reader {
    const char *at, *end;
    const char *copied; /* up to here the text is in `rest` */
    size_t depth;       /* brackets that are open */
    char open[LEVELS];  /* the outermost of them */
    struct cut key;     /* the last text that was seen, between its quotes */
    bool in_inputs;     /* the member "inputs" of the whole is being read */
    struct cuts *cuts;
    struct bytes *rest;
    struct response *response;
};

static bool is_space(char character)
{
    return character == ' ' || character == '\t' || character == '\n' || character == '\r';
}

/* From an opening quote to behind the closing one, or to the end. */
static const char *skip_text(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\' && at + 1 < end)
            at++;
    return at < end ? at + 1 : end;
}

/* From an opening bracket to behind the one that closes it, or to the end. */
static struct cut skip_array(const char *begin, const char *end)
{
    size_t depth = 0, commas = 0;
    bool empty = true;
    const char *at = begin;

    while (at < end) {
        char character = *at;
        if (character == '"') {
            at = skip_text(at, end);
            empty = false;
            continue;
        }
        at++;
        if (character == '[' || character == '{')
            depth++;
        else if (character == ']' || character == '}')
            depth--;
        else if (character == ',')
            commas++;
        else if (!is_space(character))
            empty = false;
        if (depth == 0)
            break;
    }
    return (struct cut){begin, (size_t)(at - begin), empty && commas == 0 ? 0 : commas + 1};
}

static bool copy(struct reader *reader, const void *text, size_t size)
{
    if (size > V2_HEADER_MAX - reader->rest->size)
        return problem(reader->response, 413, "the JSON without the data of its inputs has more than %d bytes",
                       V2_HEADER_MAX);
    return bytes_append(reader->rest, text, size) || problem(reader->response, 500, "out of memory");
}

static bool copy_up_to_here(struct reader *reader)
{
    const char *from = reader->copied;
    reader->copied = reader->at;
    return copy(reader, from, (size_t)(reader->at - from));
}

static bool key_is(const struct reader *reader, const char *name)
{
    return reader->key.size == strlen(name) && !memcmp(reader->key.text, name, reader->key.size);
}

static bool at_null(const struct reader *reader)
{
    return reader->end - reader->at >= 4 && !memcmp(reader->at, "null", 4);
}

/* The value of an input's "data" begins here. */
static bool cut_data(struct reader *reader)
{
    struct cuts *cuts = reader->cuts;
    char number[16];

    while (reader->at < reader->end && is_space(*reader->at))
        reader->at++;
    if (at_null(reader))
        return true;
    if (reader->at == reader->end || *reader->at != '[')
        return problem(reader->response, 422, "the data of an input has to be an array");
    if (cuts->count == V2_INPUTS_MAX)
        return problem(reader->response, 422, "there are more than %d inputs", V2_INPUTS_MAX);
    if (!copy_up_to_here(reader))
        return false;
    int length = snprintf(number, sizeof number, "%zu", cuts->count);
    cuts->list[cuts->count] = skip_array(reader->at, reader->end);
    reader->at += cuts->list[cuts->count++].size;
    reader->copied = reader->at;
    return copy(reader, number, (size_t)length);
}

/* A text is only a member's name where a colon follows. With escapes in it, it could be "data" to the JSON library and
 * not here, and the number that the client wrote there would be taken for that of a cut. */
static bool at_colon(struct reader *reader)
{
    bool of_input = reader->depth == LEVELS && reader->in_inputs && !memcmp(reader->open, "{[{", LEVELS);

    reader->at++;
    if ((reader->depth == 1 || of_input) && memchr(reader->key.text, '\\', reader->key.size))
        return problem(reader->response, 422,
                       "write the names of the members of the request and of its inputs without "
                       "escapes");
    if (reader->depth == 1)
        reader->in_inputs = key_is(reader, "inputs");
    return of_input && key_is(reader, "data") ? cut_data(reader) : true;
}

static void open_bracket(struct reader *reader)
{
    if (reader->depth < LEVELS)
        reader->open[reader->depth] = *reader->at;
    reader->depth++;
    reader->at++;
}

static void close_bracket(struct reader *reader)
{
    reader->depth -= reader->depth > 0;
    reader->at++;
}

static void take_text(struct reader *reader)
{
    const char *begin = reader->at + 1;
    reader->at = skip_text(reader->at, reader->end);
    reader->key = (struct cut){.text = begin, .size = reader->at > begin ? (size_t)(reader->at - begin) - 1 : 0};
}

static bool step(struct reader *reader)
{
    switch (*reader->at) {
    case '"': take_text(reader); break;
    case ':': return at_colon(reader);
    case '{':
    case '[': open_bracket(reader); break;
    case '}':
    case ']': close_bracket(reader); break;
    default: reader->at++; break;
    }
    return true;
}

bool cuts_make(struct cuts *cuts, const char *text, size_t size, struct bytes *rest, struct response *response)
{
    struct reader reader = {.at = text,
                            .end = text + size,
                            .copied = text,
                            .key = {.text = ""},
                            .cuts = cuts,
                            .rest = rest,
                            .response = response};

    cuts->count = 0;
    while (reader.at < reader.end)
        if (!step(&reader))
            return false;
    return copy_up_to_here(&reader);
}
