// One table of every argument: docs/kernel-arguments.md is generated from it, spelling is checked against it.

/// One line of the arguments table.
public struct ArgumentDocumentation: Equatable, Sendable {
    /// The key; where it ends in `*` it stands for every key that starts so.
    public var argument: String
    /// What follows the key, empty for a bare word.
    public var form: String
    /// What the argument does, in Markdown.
    public var meaning: String
}

extension BootArguments {
    /// Every argument that is read, in the order of docs/kernel-arguments.md.
    public static let documentation: [ArgumentDocumentation] = [
        .init(
            "coreos.live.rootfs_url", "=URL",
            "Root image: http, https or tftp, with `${mac}` and the like. Repeated: mirrors, tried in turn"),
        .init(
            "firstlight.fallback_url", "=URL",
            "An older image that the initramfs knows (`--fallback-rootfs`), used where no URL of the root image leads "
                + "to the right one. Repeated: mirrors"),
        .init("coreos.liveiso", "=LABEL", "Root image from the volume of that label"),
        .init("coreos.liveiso.fromram", "[=BOOL]", "Copy the image into RAM and release the medium"),
        .init(
            "firstlight.rootfs_sha256", "=HEX",
            "SHA-256 of the root image file; nothing else is mounted. Malformed: the boot stops"),
        .init(
            "firstlight.check_medium", "=BOOL",
            "`0`: do not read all of an ISO that stays mounted to check it. "
                + "`firstlight.rootfs_sha256` is checked all the same"),
        .init(
            "firstlight.proxy", "=URL",
            "Proxy for every HTTP and HTTPS request: http, https or socks. Malformed: a boot that needs it stops"),
        .init("firstlight.overlay_size", "=SIZE", "Size of the writable layer: `50%` of RAM (default), `512M`, `2G`"),

        .init("ignition.firstboot", "[=BOOL]", "Provision. Without it no config is looked at; `=` is false"),
        .init(
            "ignition.platform.id", "=NAME", "Platform: \(Platform.allCases.map { "`\($0)`" }.joined(separator: ", "))"
        ),
        .init(
            "ignition.config.url", "=URL",
            "Config: http, https, tftp, data, s3, gs or arn, with `${mac}` and the like. It comes before a config in the "
                + "initramfs"),
        .init(
            "ignition.config.device", "=LABEL",
            "Config: a file on the volume of that label, waited for as every device is (`rd.timeout=`). "
                + "A URL comes before it"),
        .init("ignition.config.path", "=PATH", "The file's path on that volume; the two go together"),
        .init("firstlight.plan", "[=BOOL]", "Print what would be done to the disks, and stop before doing it"),
        .init(
            "firstlight.strict", "[=BOOL]",
            "Write files as Ignition does: an existing one is a conflict whatever it holds, and appending is repeated"),
        .init(
            "firstlight.report_url", "=URL",
            "Post the report of provisioning, or of a failure, there as JSON: http or https, with `${mac}` and the "
                + "like, tried for 10 s, never stops the boot. Does not bring the network up: `rd.neednet` does"),

        .init(
            "ip", "=METHOD",
            "Every interface: `dhcp` (`single-dhcp`; IPv6 where there is some), `auto` (`on`, `any`; default: whichever "
                + "family answers), `auto6` (`dhcp6`), `link6`, `none` (`off`), `dhcp,dhcp6` (`auto6,dhcp`: both wanted). "
                + "Any other word is `auto`, with a warning"),
        .init(
            "ip", "=IFACE:METHOD[:[MTU][:MAC]]",
            "One interface, by name (udev's or the kernel's) or MAC address. Repeatable: the last method counts, "
                + "addresses add up"),
        .init(
            "ip", "=CLIENT:[PEER]:GATEWAY:NETMASK:HOSTNAME:IFACE:METHOD[:[MTU][:MAC]]",
            "The same with fixed addresses, which any method keeps; IPv6 in brackets, `CLIENT/PREFIX` allowed, PEER not "
                + "used. Without a netmask: by class, IPv6 64. Only `none` leaves out the other family"),
        .init(
            "ip", "=CLIENT:[PEER]:GATEWAY:NETMASK:HOSTNAME:IFACE:METHOD[:[DNS1][:DNS2]]", "The same with name servers"),
        .init(
            "ip", "=ADDRESS",
            "Old style: a fixed IPv4 address, with `netmask=`, `gateway=`, `hostname=`, `mtu=`, `ksdevice=`"),
        .init(
            "vlan", "=NAME:PARENT",
            "A VLAN; its number is at the end of NAME: `vlan5`, `eth0.5`. PARENT has no addresses unless `ip=` gives some. "
                + "Repeatable"),
        .init(
            "bond", "=NAME[:PORTS[:OPTIONS[:MTU]]]",
            "A bond of PORTS, `,` between them; OPTIONS as the kernel's bonding has them: "
                + "`mode=802.3ad,lacp_rate=fast`, `;` within lists. Bare: `bond0:eth0:mode=balance-rr`"),
        .init("bridge", "=NAME:PORTS", "A bridge without the spanning tree protocol. Bare: `br0:eth0`"),
        .init("team", "=NAME:PORTS[:RUNNER]", "Made as the equivalent bond, with a warning"),
        .init(
            "ipam", "=MAC:VLAN:ADDRESS:NETMASK:GATEWAY:HOSTNAME:DNS:DOMAINS:NTP",
            "Tinkerbell's: fixed addresses, on a VLAN where one is given, search domains and time servers"),
        .init("nameserver", "=IP", "Name server. Repeatable"),
        .init("rd.net.dns", "=IP", "The same; servers of DNS over TLS are left out with a warning"),
        .init(
            "rd.route", "=NET/LEN:GATEWAY[:IFACE]",
            "Route; IPv6 as `[NET/LEN]:[GATEWAY]`. Without IFACE that of `bootdev=`, or the first. Repeatable"),
        .init("rd.neednet", "[=BOOL]", "Bring the network up even where nothing needs it"),
        .init("rd.peerdns", "=BOOL", "`0`: no name servers from DHCP or router advertisements"),
        .init(
            "bootdev", "=IFACE", "The interface that owns the default route and DNS; it is used without an `ip=`, too"),
        .init(
            "BOOTIF", "=[01-]MAC", "The interface booted from (PXELINUX writes it): the one used where `ip=` names none"
        ),
        .init("rd.bootif", "=BOOL", "`0`: ignore `BOOTIF`"),
        .init("ifname", "=NAME:MAC", "Name of the interface with that MAC address. Repeatable"),
        .init("net.ifnames", "=BOOL", "`0`: interfaces keep the kernel's names"),
        .init("rd.ethtool", "=IFACE:AUTONEG:SPEED", "How a card talks to the switch: `on` or `off`, Mb/s"),
        .init("rd.net.dhcp.client-id", "=ID", "The client identifier that DHCP servers get: `01:02:...` or a text"),
        .init("rd.net.dhcp.vendor-class", "=TEXT", "The vendor class that DHCP servers get"),
        .init(
            "firstlight.identity", "=uuid",
            "DHCP identifiers and the real root's `/etc/machine-id` come from the machine's UUID. Default: the card's address"
        ),
        .init("rd.net.timeout.dhcp", "=SECONDS", "How long DHCP may take; default and `infinity`: as long as it takes"),
        .init("rd.net.timeout.carrier", "=SECONDS", "How long a link may take to come up; likewise"),
        .init("rd.net.timeout.iflink", "=SECONDS", "How long a named interface may take to appear; likewise"),
        .init("rd.net.timeout.ipv6auto", "=SECONDS", "How long IPv6 autoconfiguration may take; likewise"),
        .init("rd.net.dhcp.retry", "=N", "Multiplies the time for DHCP"),
        .init("coreos.no_persist_ip", "[=BOOL]", "Network settings stay out of the real root"),
        .init("coreos.force_persist_ip", "[=BOOL]", "They go into the real root even where it has its own"),
        .init(
            "rd.znet", "=...",
            "Not supported, like `ib.pkey`, `rd.iscsi.ibft` and `ip=...:ibft`: the boot stops where it needs the network"
        ),

        .init(
            "rd.break", "[=POINT]",
            "Shell before `cmdline`, `pre-udev`, `pre-trigger`, `initqueue`, `pre-mount`, "
                + "`mount`, `pre-pivot`, `cleanup`; bare: before handing over. Repeatable"),
        .init("rd.shell", "[=BOOL]", "`0`: no shell after a failure; the machine halts"),
        .init(
            "rd.emergency", "=ACTION",
            "After a failure: `reboot`, `poweroff`, `halt` or `shell` (default). With `rd.shell` the shell comes first"),
        .init("rd.debug", "[=BOOL]", "The same as `firstlight.log_level=debug`"),
        .init("firstlight.log_level", "=LEVEL", "`trace`, `debug`, `info` (default), `notice`, `warning`, `error`"),

        .init("console", "=DEVICE[,OPTIONS]", "Console; repeatable, the last is `/dev/console`. Reports go to each"),
        .init("quiet", "", "Only warnings, failures and what is waited for on the console"),
        .init(
            "loglevel", "=N",
            "The kernel's messages on the consoles: 3 while the boot runs, unless this, `debug` or "
                + "`firstlight.log_level` says otherwise"),
        .init(
            "rootfstype", "=ramfs",
            "The kernel then unpacks without a limit. Without it, loaded images need RAM of 3 times their size"),

        .init("modprobe.blacklist", "=LIST", "Modules never to load; `rd.driver.blacklist`, `module_blacklist` too"),
        .init(
            "rd.driver.pre", "=LIST", "Modules to load first; `rd.driver.post`, `rd.modules_load`, `modules_load` too"),
        .init("MODULE.PARAMETER", "[=VALUE]", "Parameter of a module, given to it when it is loaded"),
        .init("rd.timeout", "=SECONDS", "How long to wait for a device; 0 means without limit"),

        .init("init", "=PATH", "Init of the real root"),
        .init("--", " ARGUMENTS", "What follows goes to that init, as do `single`, `emergency`, `rescue`, `1` to `5`"),
        .init("systemd.*", "", "Not touched: systemd in the real root reads it from `/proc/cmdline`"),
        .init(
            "coreos.inst.*", "",
            "Left to the installer in the real root. `coreos.inst.install_dev` keeps the packed images that it installs, "
                + "which are dropped otherwise where RAM is short"),
    ]

    /// The table as docs/kernel-arguments.md shows it.
    public static var markdownTable: String {
        let rows = documentation.map { "| `\($0.argument)\($0.form)` | \($0.meaning) |" }
        return (["| Argument | Meaning |", "| --- | --- |"] + rows).joined(separator: "\n") + "\n"
    }
}

extension ArgumentDocumentation {
    init(_ argument: String, _ form: String, _ meaning: String) {
        self.init(argument: argument, form: form, meaning: meaning)
    }
}
