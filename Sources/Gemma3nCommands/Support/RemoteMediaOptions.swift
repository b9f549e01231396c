#if SERVER
internal import ArgumentParser
internal import Gemma3nServer

/// Whether a server fetches media from the network, and which.
struct RemoteMediaOptions: ParsableArguments {
    @Flag(help: "Fetch pictures, sound and video that requests name by http and https URLs: from public addresses only.")
    var allowRemoteMedia = false
    @Option(help: ArgumentHelp("Fetch them from this host only; with a port, from that port. May be given several times.", valueName: "name"))
    var remoteMediaHost: [String] = []
    @Option(help: ArgumentHelp("All such media of one request at most; 32 MB by default.", valueName: "size")) var remoteMediaLimit: MemorySize?
    @Option(help: ArgumentHelp("Seconds for all such media of one request.", valueName: "seconds")) var remoteMediaTime = 20

    func validate() throws {
        guard (1...600).contains(remoteMediaTime) else { throw ValidationError("--remote-media-time is \(remoteMediaTime), expected 1 to 600.") }
        for host in remoteMediaHost where host.contains("/") || (try? RemoteURL("http://\(host)")) == nil {
            throw ValidationError("--remote-media-host is \(host), expected a host such as example.org or example.org:8443.")
        }
        if !allowRemoteMedia, !remoteMediaHost.isEmpty {
            throw ValidationError("--remote-media-host says where media may come from; it needs --allow-remote-media.")
        }
    }

    /// Nil if it fetches none.
    var settings: RemoteMediaSettings? {
        guard allowRemoteMedia else { return nil }
        var settings = RemoteMediaSettings()
        settings.hosts = remoteMediaHost
        if let remoteMediaLimit { settings.byteLimit = remoteMediaLimit.bytes }
        settings.seconds = remoteMediaTime
        return settings
    }
}
#endif
