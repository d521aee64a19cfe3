#include "sentry/mm/mappable.h"
#include "proto/mm.pb-c.h"
#include "state/fields.h"

#define MAPPABLE_FIELDS(F) \
	F(HDR, obj)        \
	F(SKIP, mapped) /* counted by the vmas that refer to it */

OBJECT_TYPE(mappable, Sentry__Mappable, sentry__mappable__descriptor, MAPPABLE_FIELDS,
            .abstract = true);

#define MAPID_FIELDS(F) F(HDR, obj)

OBJECT_TYPE(mapid, Sentry__Mapid, sentry__mapid__descriptor, MAPID_FIELDS, .abstract = true);
