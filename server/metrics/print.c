#include "server/metrics/print.h"

#include <inttypes.h>

void print_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_value(FILE *out, const char *value)
{
    for (; *value; value++) {
        switch (*value) {
        case '\n': fputs("\\n", out); break;
        case '"':
        case '\\': fputc('\\', out); /* fall through */
        default: fputc(*value, out);
        }
    }
}

static void print_name(FILE *out, const char *name, const struct label *labels)
{
    fputs(name, out);
    for (const struct label *label = labels; label && label->name; label++) {
        fprintf(out, "%s%s=\"", label == labels ? "{" : ",", label->name);
        print_value(out, label->value);
        fputc('"', out);
    }
    if (labels && labels->name)
        fputc('}', out);
}

void print_sample(FILE *out, const char *name, const struct label *labels, uint64_t value)
{
    print_name(out, name, labels);
    fprintf(out, " %" PRIu64 "\n", value);
}

void print_seconds(FILE *out, const char *name, const struct label *labels, uint64_t ns)
{
    print_name(out, name, labels);
    fprintf(out, " %" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
}

void print_one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    print_head(out, name, type, help);
    print_sample(out, name, NULL, value);
}
