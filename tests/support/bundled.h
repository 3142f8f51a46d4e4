/* What the bundled network costs, counted by hand from its layers: the engine must come to the same. */
#ifndef ESP_TESTS_BUNDLED_H
#define ESP_TESTS_BUNDLED_H

#include <stdint.h>

/* MACs of a node's segment and of its head, by depth: trunk, realm, group, category. */
static const uint64_t bundled_segment_macs[] = {24551424, 13271040, 5898240, 442368};
static const uint64_t bundled_head_macs[] = {0, 96, 64, 12};

enum {
    BUNDLED_MACS = 24551424 + 4 * 13271040 + 22 * 5898240 + 200 * (442368 + 12),
    BUNDLED_PARAMETERS = 63072 + 4 * 207648 + 22 * 92288 + 200 * (6924 + 13),
    BUNDLED_ONE_MACS = 24551424 + 13271040 + 5898240 + 442368 + 12,
    BUNDLED_ONE_PARAMETERS = 63072 + 207648 + 92288 + 6924 + 13
};

#endif
