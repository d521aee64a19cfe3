/* Finds platforms by name and wraps their ops. */
#include "platform/platform.h"

void platform_destroy(struct platform *p)
{
	if (p)
		p->ops->destroy(p);
}
