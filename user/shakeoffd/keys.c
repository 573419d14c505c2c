/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <shakeoffd/clock.h>
#include <shakeoffd/keys.h>

static int fresh_key(struct shakeoff_key *key)
{
	do {
		if (getrandom(key, sizeof(*key), 0) != sizeof(*key))
			return -errno;
	} while (!key->k0 && !key->k1);
	return 0;
}

static int replace(struct datapath *datapath, uint32_t slot)
{
	struct shakeoff_key key;
	int error = fresh_key(&key);

	if (!error)
		error = datapath_key_set(datapath, slot, &key);
	explicit_bzero(&key, sizeof(key));
	return error;
}

static uint32_t epoch_of(struct datapath *datapath, uint64_t now_ns)
{
	uint64_t offset = __atomic_load_n(&datapath_control(datapath)->epoch_offset_ns, __ATOMIC_RELAXED);

	return (uint32_t)((now_ns + offset) / SHAKEOFF_EPOCH_NS);
}

int keys_open(struct keys *keys, struct datapath *const *datapaths, size_t count)
{
	uint64_t now = clock_ns();
	int error;

	*keys = (struct keys){ .datapaths = datapaths, .count = count, .replaced_in = calloc(count, sizeof(uint32_t)) };
	if (!keys->replaced_in)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		uint32_t *flags = &datapath_control(datapaths[i])->flags;

		/* Not in this epoch yet: doing it twice does no harm. */
		keys->replaced_in[i] = epoch_of(datapaths[i], now) - 1;
		if (__atomic_load_n(flags, __ATOMIC_RELAXED) & SHAKEOFF_KEYS_LOADED)
			continue;
		for (uint32_t slot = 0; slot < SHAKEOFF_KEY_SLOTS; slot++) {
			error = replace(datapaths[i], slot);
			if (error) {
				keys_close(keys);
				return error;
			}
		}
		__atomic_fetch_or(flags, SHAKEOFF_KEYS_LOADED, __ATOMIC_RELEASE);
	}
	return 0;
}

void keys_close(struct keys *keys)
{
	free(keys->replaced_in);
	keys->replaced_in = NULL;
}

int keys_rotate(struct keys *keys, uint64_t now_ns)
{
	int error;

	for (size_t i = 0; i < keys->count; i++) {
		uint32_t epoch = epoch_of(keys->datapaths[i], now_ns);

		if (epoch == keys->replaced_in[i])
			continue;
		/* Cookies of this epoch and the last are good, perhaps of the next: the slot after that is nobody's. */
		error = replace(keys->datapaths[i], (epoch + 2) % SHAKEOFF_KEY_SLOTS);
		if (error)
			return error;
		keys->replaced_in[i] = epoch;
	}
	return 0;
}
