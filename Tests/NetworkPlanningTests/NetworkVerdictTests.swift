// When a network is up, waited for, or given up.

import BootArguments
import Testing

@testable import NetworkPlanning

/// What is seen of some links, and what follows at which second.
private struct Watched {
    var line: String
    var hasTargets = false

    func callAsFunction(_ states: [NetworkLinkState], at now: Double) -> NetworkVerdict {
        let arguments = BootArguments(line).network
        let cards = (0..<max(states.count, 0)).map { interface($0) }
        let plan = plan(line, cards).plan
        return plan.verdict(states, start: 0, now: now, timeouts: arguments.timeouts, hasTargets: hasTargets)
    }
}

@Test("waits for what was named, takes the first of what was not")
func verdicts() throws {
    let silent = try seen(carrier: 1)
    let any = Watched(line: "ip=dhcp")
    #expect(any([try seen(), try seen()], at: 9) == .wait)
    #expect(any([silent, try seen(carrier: 1, lease: 2)], at: 2) == .up([1]))
    #expect(any([try seen(carrier: 1, lease: 3), try seen(carrier: 1, lease: 2)], at: 3) == .up([1]))

    let both = Watched(line: "ip=ens3:dhcp ip=ens4:dhcp")
    let first = try seen(carrier: 1, lease: 2)
    #expect(both([first, silent], at: 3) == .wait)
    #expect(both([first, try seen(carrier: 1, lease: 3)], at: 3) == .up([0, 1]))
    #expect(both([first, try seen()], at: 10) == .up([0]))
    #expect(both([first, silent], at: 22) == .up([0]))
    let absent = Watched(line: "ip=ens3:dhcp ip=ens9:dhcp")
    #expect(absent([first], at: 21) == .wait)
    #expect(absent([first], at: 22) == .up([0]))

    let auto = Watched(line: "ip=auto")
    #expect(auto([try seen(carrier: 1, six: 3)], at: 10.9) == .wait)
    #expect(auto([try seen(carrier: 1, six: 3)], at: 11) == .up([0]))
    let families = Watched(line: "ip=dhcp,dhcp6")
    #expect(families([first], at: 21.9) == .wait)
    #expect(families([first], at: 22) == .up([0]))
    #expect(families([try seen(carrier: 1, lease: 2, six: 3)], at: 3) == .up([0]))

    #expect(Watched(line: "ip=192.0.2.10:::24::ens3:none")([silent], at: 1) == .up([0]))
    #expect(Watched(line: "ip=192.0.2.10:::24::ens3:on")([silent], at: 1) == .up([0]))
    // A fixed address stays where DHCP is silent.
    #expect(Watched(line: "ip=192.0.2.10:::24::ens3:dhcp")([silent], at: 10) == .wait)
    #expect(Watched(line: "ip=192.0.2.10:::24::ens3:dhcp")([silent], at: 11) == .up([0]))
    #expect(
        Watched(line: "ip=off")([silent], at: 1) == .failed([NetworkAttempt("ens3", .noAddress, seconds: 0)]))
    #expect(Watched(line: "")([], at: 9.9) == .wait)
    #expect(Watched(line: "")([], at: 10) == .nothingThere)
    // Only ports so far: what they belong to is still to be made.
    #expect(Watched(line: "bond=bond0:ens3 ip=bond0:dhcp")([silent], at: 1) == .wait)
}

@Test("takes a server that comes three minutes late as if it had been there")
func lateServer() throws {
    for hasTargets in [false, true] {
        let any = Watched(line: "", hasTargets: hasTargets)
        for now in stride(from: 1.0, to: 180, by: 1) { #expect(any([try seen(carrier: 1)], at: now) == .wait) }
        #expect(any([try seen(carrier: 1, lease: 180)], at: 180.1) == .up([0]))
        let two = [try seen(carrier: 1), try seen(carrier: 1, lease: 180, reached: hasTargets ? 181 : nil)]
        #expect(any(two, at: 181) == .up([1]))
    }
}

@Test("tells a DHCP server that answered what cannot be used from one that is silent")
func badLease() throws {
    var state = try seen(carrier: 1)
    state.leaseFault = "adding a route to 0.0.0.0/0 by ens3 failed: Invalid argument"
    let limited = Watched(line: "ip=ens3:dhcp rd.net.timeout.dhcp=90")
    guard case .failed(let attempts) = limited([state], at: 91) else {
        Issue.record("not given up")
        return
    }
    let text = "DHCP on ens3 answered, but adding a route to 0.0.0.0/0 by ens3 failed: Invalid argument"
    #expect(attempts.map(\.description) == [text])
    let missing = plan("ip=ens3:dhcp").plan.missing([state])
    #expect(missing.reason == text && missing.advice == ["Check what the DHCP server gives, or give an address by ip="])
}

@Test("gives nothing up by itself, and what the operator limits at its time")
func patience() throws {
    let silent = try seen(carrier: 1)
    for line in ["", "ip=dhcp", "ip=auto6", "ip=dhcp rd.net.timeout.dhcp=infinity", "ip=ens9:dhcp"] {
        #expect(Watched(line: line)([silent], at: 100_000) == .wait, "\(line)")
    }
    #expect(Watched(line: "ip=dhcp")([try seen()], at: 100_000) == .wait)
    let limited = Watched(line: "ip=dhcp rd.net.timeout.dhcp=90 rd.net.timeout.carrier=10")
    #expect(limited([try seen(), silent], at: 90.9) == .wait)
    #expect(
        limited([try seen(), silent], at: 91)
            == .failed([
                NetworkAttempt("ens3", .noCarrier, seconds: 10), NetworkAttempt("ens4", .noLease, seconds: 90),
            ]))
    let router = Watched(line: "ip=auto6 rd.net.timeout.ipv6auto=40")
    #expect(router([silent], at: 40.9) == .wait)
    #expect(router([silent], at: 41) == .failed([NetworkAttempt("ens3", .noAdvertisement, seconds: 40)]))
    // Where either family is enough, each has its own time.
    let either = Watched(line: "rd.net.timeout.dhcp=30 rd.net.timeout.ipv6auto=40")
    #expect(either([silent], at: 40.9) == .wait)
    #expect(either([silent], at: 41) == .failed([NetworkAttempt("ens3", .noLease, seconds: 30)]))
    #expect(Watched(line: "rd.net.timeout.ipv6auto=40")([silent], at: 100_000) == .wait, "DHCP's time has no end")
    let card = Watched(line: "ip=ens9:dhcp rd.net.timeout.iflink=60")
    #expect(card([], at: 59.9) == .wait)
    #expect(card([], at: 60) == .nothingThere)
}

@Test("takes the card over which the server answers, not the first with a lease")
func reaching() throws {
    let up = try seen(carrier: 1, lease: 2)
    let reaching = try seen(carrier: 1, lease: 5, reached: 6)
    let any = Watched(line: "", hasTargets: true)
    #expect(any([up, try seen(carrier: 1)], at: 3) == .wait)
    #expect(any([up, try seen(carrier: 1, lease: 5)], at: 1000) == .wait, "nothing answers yet")
    #expect(any([up, reaching], at: 6) == .up([1]))
    #expect(any([up, try seen()], at: 1000) == .wait, "the other may be the one, once it has a carrier")
    #expect(any([up], at: 2) == .up([0]), "with one card there is nothing to choose")
    // IPv6 alone, over which the server answers, need not wait for IPv4.
    #expect(any([try seen(carrier: 1, six: 2)], at: 3) == .wait)
    #expect(any([try seen(carrier: 1, six: 2, reached: 2.1)], at: 3) == .up([0]))
    let named = Watched(line: "ip=ens3:auto", hasTargets: true)
    #expect(named([try seen(carrier: 1, six: 2, reached: 2.1)], at: 3) == .up([0]))
    // What was named stays, behind the one that is needed.
    let both = Watched(line: "ip=ens3:dhcp ip=ens4:dhcp", hasTargets: true)
    #expect(both([up, reaching], at: 6) == .up([1, 0]))
    #expect(both([up, try seen(carrier: 1, lease: 3)], at: 22.9) == .wait)
    #expect(both([up, try seen(carrier: 1, lease: 3)], at: 23) == .up([0, 1]), "both stay whatever answers")
    #expect(both([try seen(), reaching], at: 6) == .up([1]), "a card without a cable costs nothing")
    #expect(both([try seen(carrier: 1), reaching], at: 6) == .wait)
    #expect(both([try seen(carrier: 1), reaching], at: 26) == .up([1]))
}
