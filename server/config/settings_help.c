/* The table as people read it. */
#include "server/config/settings_table.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static bool begins_group(const struct setting *setting)
{
    return setting == setting_table || setting->group != setting[-1].group;
}

static void print_text(const struct setting *setting, const char *environment, FILE *out)
{
    if (begins_group(setting))
        fprintf(out, "%s%s\n", setting == setting_table ? "" : "\n", setting->group);
    fprintf(out, "  --%s %s\n      %s", setting->name, setting->unit, setting->help);
    if (*setting->initial)
        fprintf(out, " (default %s", setting->initial);
    if (setting->type == NUMBER)
        fprintf(out, ", %" PRIu64 " to %" PRIu64, setting->least, setting->most);
    fprintf(out, "%s; %s\n", *setting->initial ? ")" : "", environment);
}

static void print_bounds(const struct setting *setting, FILE *out)
{
    if (setting->type == NUMBER)
        fprintf(out, "%" PRIu64 " to %" PRIu64, setting->least, setting->most);
    if (setting->type == SECRET)
        fprintf(out, "%" PRIu64 " to %" PRIu64 " characters", setting->least, setting->most);
    if (setting->type == CHOICE)
        for (const char *at = setting->unit; *at; at++)
            fputs(*at == '|' ? ", " : (char[]){*at, '\0'}, out);
}

static void print_markdown(const struct setting *setting, const char *environment, FILE *out)
{
    if (setting == setting_table)
        fputs("| flag | environment | default | bounds | |\n| --- | --- | --- | --- | --- |\n", out);
    if (begins_group(setting))
        fprintf(out, "| **%s** | | | | |\n", setting->group);
    fprintf(out, "| `--%s %s` | `%s` | %s | ", setting->name, setting->type == CHOICE ? "WORD" : setting->unit,
            environment, setting->initial);
    print_bounds(setting, out);
    fprintf(out, " | %s |\n", setting->help);
}

/* Comments have a space behind the #, settings have none. */
static void print_config(const struct setting *setting, const char *environment, FILE *out)
{
    (void)environment;
    if (setting == setting_table) {
        fputs("# What espalier serve --config FILE reads. Every setting is here with its default: take the # away and\n"
              "# write another value. Flags and environment variables beat this file.\n",
              out);
        return; /* the file cannot name another one */
    }
    if (begins_group(setting))
        fprintf(out, "\n# ---- %s ----\n", setting->group);
    fprintf(out, "\n# %s: %s\n#%s =%s%s\n", setting->unit, setting->help, setting->name, *setting->initial ? " " : "",
            setting->initial);
}

void settings_help(enum settings_help form, FILE *out)
{
    static void (*const print[])(const struct setting *, const char *, FILE *) = {
        [HELP_TEXT] = print_text, [HELP_MARKDOWN] = print_markdown, [HELP_CONFIG] = print_config};
    char environment[SETTING_ENVIRONMENT_MAX];

    for (const struct setting *setting = setting_table; setting->name && print[form]; setting++) {
        setting_environment(setting, environment);
        print[form](setting, environment, out);
    }
}
