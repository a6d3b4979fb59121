package tests

import (
	"path"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// Where the state lies. Whoever comes from Teleport's chart finds it where that chart has put it,
// whichever of its values were used, and what is kept once is never taken away with the release.

// keptAt says on what the state is: `claim <name>`, `volume <name>` for one that the values bring
// along, or `pod`. What else has to go with it is compared too.
func keptAt(t *testing.T, all *rendered) string {
	t.Helper()
	var mount *corev1.VolumeMount
	for _, one := range all.container().VolumeMounts {
		if any(path.Clean(one.MountPath)) == all.config()["storage"] {
			mount = &one
		}
	}
	if mount == nil {
		return "nowhere"
	}
	volume := all.volume(mount.Name)
	kept := "volume " + mount.Name
	if volume.PersistentVolumeClaim != nil {
		kept = "claim " + volume.PersistentVolumeClaim.ClaimName
	} else if volume.EmptyDir != nil {
		kept = "pod"
	}
	strategy := appsv1.DeploymentStrategyType("")
	if kept != "pod" {
		strategy = appsv1.RecreateDeploymentStrategyType
	}
	equal(t, "strategy", all.deployment().Spec.Strategy.Type, strategy)
	equal(t, "a claim is made", has[*corev1.PersistentVolumeClaim](all), kept == "claim "+fullName)
	return kept
}

func TestChartStateIsWhereTeleportsChartHasIt(t *testing.T) {
	for values, want := range map[string]string{
		// Teleport's chart keeps it in the pod when nothing is said; that is the one difference.
		"{}":                                    "claim " + fullName,
		"enabled:":                              "claim " + fullName,
		"{enabled: true}":                       "claim " + fullName,
		"{enabled: false}":                      "pod",
		"{existingClaim: mine}":                 "claim mine",
		"{enabled: false, existingClaim: mine}": "claim mine",
		"{enabled: true, existingClaim: mine}":  "claim " + fullName,
	} {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			if values == "enabled:" {
				values = "\n  enabled:"
			}
			equal(t, "kept", keptAt(t, render(t, least, "persistentVolumeClaim: "+values)), want)
		})
	}
}

// The example in the values of Teleport's chart, which has no other way to name a volume that is
// not a claim.
func TestChartStateIsOnAVolumeThatIsGiven(t *testing.T) {
	const claim = "volumes: [{name: storage, persistentVolumeClaim: {claimName: theirs}}]\n"
	const share = "volumes: [{name: share, nfs: {server: nfs.example.com, path: /events}}]\n"
	const data = "volumes: [{name: data, nfs: {server: nfs.example.com, path: /events}}, {name: scratch, emptyDir: {}}]\n"
	const below = "\neventHandler: {storagePath: /data/state}"
	for _, one := range []struct{ values, want string }{
		{claim + "volumeMounts: [{name: storage, mountPath: " + home + "/storage}]", "claim theirs"},
		{claim + "volumeMounts: [{name: storage, mountPath: " + home + "/storage/}]\npersistentVolumeClaim: {enabled: false}", "claim theirs"},
		{claim + "volumeMounts: [{name: storage, mountPath: /data}]\neventHandler: {storagePath: /data}", "claim theirs"},
		{share + "volumeMounts: [{name: share, mountPath: " + home + "/storage}]", "volume share"},
		// Not mounted by the values: it stands in for the chart's own.
		{claim, "claim theirs"},
		// The name alone is no reason to put the state there.
		{claim + "volumeMounts: [{name: storage, mountPath: /elsewhere}]", "claim " + fullName},
		{share + "volumeMounts: [{name: share, mountPath: /elsewhere}]", "claim " + fullName},
		{"volumes: [{name: storage, emptyDir: {}}]\nvolumeMounts: [{name: storage, mountPath: " + home + "/storage}]", "pod"},
		// Of several that lie above one another the deepest has it, in whatever order they stand.
		{data + "volumeMounts: [{name: data, mountPath: /data/state}, {name: scratch, mountPath: /data}]" + below, "volume data"},
		{data + "volumeMounts: [{name: scratch, mountPath: /data}, {name: data, mountPath: /data/state}]" + below, "volume data"},
		{data + "volumeMounts: [{name: scratch, mountPath: /data/state}, {name: data, mountPath: /data}]" + below, "pod"},
		// A second look at the chart's own volume.
		{"volumeMounts: [{name: storage, mountPath: /also, readOnly: true}]", "claim " + fullName},
	} {
		t.Run(one.values, func(t *testing.T) {
			t.Parallel()
			equal(t, "kept", keptAt(t, render(t, least, one.values)), one.want)
		})
	}
	// A volume that is mounted above the state has it in it, and nothing is mounted over that.
	all := render(t, least, share+"volumeMounts: [{name: share, mountPath: /data}]\neventHandler: {storagePath: /data/state}")
	equal(t, "a claim is made", has[*corev1.PersistentVolumeClaim](all), false)
	equal(t, "volume of the chart", all.volume("storage") == nil, true)
	equal(t, "strategy", all.deployment().Spec.Strategy.Type, appsv1.RecreateDeploymentStrategyType)
	// But one above the certificate does not, since the certificate is mounted over it.
	all = render(t, least, share+"volumeMounts: [{name: share, mountPath: /var/lib}]")
	equal(t, "kept", keptAt(t, all), "claim "+fullName)
}

// The mounts of the chart make room for those of the values.
func TestChartMountsOfTheValuesComeFirst(t *testing.T) {
	all := render(t, least, "volumes: [{name: tmp, emptyDir: {medium: Memory}}]\nvolumeMounts: [{name: tmp, mountPath: /tmp}]")
	equal(t, "medium", all.volume(all.mount("tmp").Name).EmptyDir.Medium, corev1.StorageMediumMemory)
	all = render(t, least, "volumes: [{name: tmp, emptyDir: {}}]\nvolumeMounts: [{name: tmp, mountPath: /scratch}]")
	equal(t, "place", all.mount("tmp").MountPath, "/scratch")
	// The names that Teleport's chart has, for mounts of the values that take them up.
	for _, name := range []string{"config", "teleport-identity", "certificate", "storage"} {
		equal(t, name, all.volume(name) != nil, true)
	}
}

// `helm uninstall`, and an upgrade after which the chart makes none, leave the claim.
func TestChartClaimOutlivesTheRelease(t *testing.T) {
	claim := get[*corev1.PersistentVolumeClaim](render(t, least), fullName)
	equal(t, "policy", claim.Annotations["helm.sh/resource-policy"], "keep")
}
