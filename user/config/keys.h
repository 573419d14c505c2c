/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of keys and its columns. Values, defaults, error messages and the texts of help.c come from it. */
#ifndef SHAKEOFF_CONFIG_KEYS_H
#define SHAKEOFF_CONFIG_KEYS_H

#include "config/config.h"

/* Sections of the file: bits of config_key.sections. */
enum config_section {
	SECTION_NONE = 0,
	SECTION_DAEMON = 1,
	SECTION_DISCOVERED = 2,
	SECTION_SERVICE = 4,
};

#define SECTIONS_TEXT "[daemon], [discovered] and [service NAME]"

struct config_key;

/* The type of a value: how it is read, and how the allowed values are described. */
struct config_type {
	/*
	 * Reads a value into the field at key->offset of `base`. Returns NULL, or a sentence with what is allowed
	 * instead, or CONFIG_NOT_ALLOWED (then allowed() describes it), or CONFIG_NO_MEMORY.
	 */
	const char *(*read)(const struct config_key *key, void *base, const char *value);
	/* Describes what is allowed, as the end of a sentence that begins with the key and "is". */
	void (*allowed)(const struct config_key *key, char *text, size_t size);
	const char *value; /* name in the help of a value that is not a word */
	bool repeats;      /* the key may be given several times */
};

extern const char CONFIG_NOT_ALLOWED[], CONFIG_NO_MEMORY[];
#define CONFIG_ALLOWED_TEXT 256

struct config_key {
	const char *name;
	unsigned int sections; /* sections that it may be used in */
	size_t offset;         /* in config_policy if [discovered] may have it, else in its section's structure */
	const struct config_type *type;
	const struct config_word *words; /* of a word: the allowed words */
	uint32_t least, greatest;        /* of a number */
	const char *unit;                /* of a number or a limit: what is counted */
	const char *zero;                /* of a number: the meaning of 0, if it is allowed beside the range */
	const char *initial;             /* the default, as written in a file; NULL: */
	const char *unset;               /* description of the setting without the key */
	uint32_t unset_number;           /* of a number: the field's value without the key */
	const char *help;                /* complete sentences */
	const char *example;             /* a value for the example file, if there is no default */
};

/* A word and the number that it means; a list of words ends with a NULL. */
struct config_word {
	const char *text;
	unsigned int number;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* Returns a key of a section. NULL: it has no such key. */
const struct config_key *config_key_find(enum config_section section, const char *name);

/* Sets the fields of a section to their defaults. base: the section's structure. */
void config_keys_default(enum config_section section, void *base);

/* Returns the structure in which key->offset counts. base: the section's structure. */
void *config_key_base(const struct config_key *key, enum config_section section, void *base);

/* Lists the keys of a section: "a, b and c". */
void config_keys_list(enum config_section section, char *text, size_t size);

/* The types of values (types.c, address.c). */
extern const struct config_type config_type_switch, config_type_words, config_type_number, config_type_limit,
	config_type_path, config_type_interface, config_type_user, config_type_group, config_type_exclude,
	config_type_listen;

/* Reads a number without sign. Returns whether it is within the range. */
bool config_read_number(const char *text, uint32_t least, uint32_t greatest, uint32_t *number);

#endif
