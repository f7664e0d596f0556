#!/bin/sh
# A boot with a root image needs no root=; what needs the network has dracut bring it up.

[ -d /etc/cmdline.d ] || mkdir -p /etc/cmdline.d
firstlight_needs=$(/usr/bin/firstlight needs)
for _need in $firstlight_needs; do
    case $_need in
        root)
            # Under systemd units assemble it, and nobody asks for its name.
            # shellcheck disable=SC2034
            [ -n "$DRACUT_SYSTEMD" ] || { root=firstlight && rootok=1; }
            ;;
        network) echo rd.neednet=1 >> /etc/cmdline.d/40-firstlight.conf ;;
    esac
done
unset firstlight_needs _need
