/* What the bundled network costs, counted by hand from its layers: the engine must come to the same. */
#ifndef ESP_TESTS_BUNDLED_H
#define ESP_TESTS_BUNDLED_H

#include <stdint.h>

/* MACs of a node's segment and of its head, by depth: trunk, realm, group, category. */
static const uint64_t bundled_segment_macs[] = {13934592, 9732096, 8257536, 516096};
static const uint64_t bundled_head_macs[] = {0, 96, 64, 14};

enum {
    BUNDLED_MACS = 13934592 + 4 * 9732096 + 22 * 8257536 + 200 * (516096 + 14),
    BUNDLED_PARAMETERS = 52656 + 4 * 152320 + 22 * 129216 + 200 * (8078 + 15),
    BUNDLED_ONE_MACS = 13934592 + 9732096 + 8257536 + 516096 + 14,
    BUNDLED_ONE_PARAMETERS = 52656 + 152320 + 129216 + 8078 + 15
};

#endif
