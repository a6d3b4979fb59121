package tests

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestChartDeployment(t *testing.T) {
	all := render(t, least, "image: {repository: registry.example.com/ev, tag: v1.2.3}")
	recorded(t, "deploy/tests/testdata/rendered/deployment.yaml", all.of("deployment.yaml"))
	deployment := all.deployment()
	equal(t, "name", deployment.Name, fullName)
	equal(t, "replicas", *deployment.Spec.Replicas, int32(1))
	container := all.container()
	equal(t, "image", container.Image, "registry.example.com/ev:v1.2.3")
	equal(t, "command", container.Command, []string{"/usr/local/bin/teleport-plugin"})
	equal(t, "args", container.Args, []string{"start", "--config", "/etc/teleport-event-handler.toml"})
	equal(t, "fail fast", all.variable("TELEPORT_PLUGIN_FAIL_FAST"), "true")
	equal(t, "port", container.Ports[0].Name, "http")
	equal(t, "port", container.Ports[0].ContainerPort, int32(80))
	config := all.mount("config")
	equal(t, "config", config.MountPath+" "+config.SubPath, "/etc/teleport-event-handler.toml teleport-event-handler.toml")
	identity := all.mount("teleport-identity")
	equal(t, "identity", identity.MountPath+" "+identity.SubPath, home+"/teleport-identity ")
	for _, volume := range deployment.Spec.Template.Spec.Volumes {
		if volume.Secret != nil {
			equal(t, "mode of "+volume.Name, *volume.Secret.DefaultMode, int32(0o600))
		}
	}
}

func TestChartSystemCAsAreReplaced(t *testing.T) {
	all := render(t, least, "tls: {existingCASecretName: our-cas, existingCASecretKeyName: roots.pem}")
	equal(t, "variable", all.variable("SSL_CERT_FILE"), "/etc/teleport-tls-ca/roots.pem")
	equal(t, "place", all.mount("teleport-tls-ca").MountPath, "/etc/teleport-tls-ca")
	equal(t, "read-only", all.mount("teleport-tls-ca").ReadOnly, true)
	equal(t, "secret", all.volume("teleport-tls-ca").Secret.SecretName, "our-cas")

	all = render(t, least, "tls: {existingCASecretName: our-cas}")
	equal(t, "usual key", all.variable("SSL_CERT_FILE"), "/etc/teleport-tls-ca/ca.pem")

	all = render(t, least)
	equal(t, "none", all.variable("SSL_CERT_FILE"), "(not set)")
	equal(t, "none", all.volume("teleport-tls-ca") == nil, true)
}

func TestChartDeploymentAnnotations(t *testing.T) {
	for _, one := range []struct {
		values          string
		deployment, pod map[string]string
	}{
		{"{}", nil, nil},
		{"annotations: {deployment: {a: b}}", map[string]string{"a": "b"}, nil},
		{"annotations: {pod: {c: d}}", nil, map[string]string{"c": "d"}},
		{"annotations: {deployment: {a: b}, pod: {c: d}}", map[string]string{"a": "b"}, map[string]string{"c": "d"}},
		{"podAnnotations: {old: x}", nil, map[string]string{"old": "x"}},
		{"{podAnnotations: {old: x}, annotations: {pod: {c: d}}}", nil, map[string]string{"c": "d"}},
	} {
		t.Run(one.values, func(t *testing.T) {
			t.Parallel()
			deployment := render(t, least, one.values).deployment()
			equal(t, "of the deployment", deployment.Annotations, one.deployment)
			equal(t, "of the pod", deployment.Spec.Template.Annotations, one.pod)
		})
	}
}

func TestChartDeploymentHasExtraLabels(t *testing.T) {
	deployment := render(t, least, "extraLabels: {deployment: {a: b}, pod: {c: d}}").deployment()
	equal(t, "of the deployment", deployment.Labels["a"]+deployment.Labels["c"], "b")
	pod := deployment.Spec.Template.Labels
	equal(t, "of the pod", pod["a"]+pod["c"], "d")
	equal(t, "selector", len(deployment.Spec.Selector.MatchLabels), 2)
}

func TestChartExtraArgsAndVariablesComeLast(t *testing.T) {
	all := render(t, least, "extraArgs: [--debug, --strict]\nextraEnv: [{name: HTTPS_PROXY, value: 'http://proxy:3128'}]")
	want := []string{"start", "--config", "/etc/teleport-event-handler.toml", "--debug", "--strict"}
	equal(t, "args", all.container().Args, want)
	equal(t, "variable", all.variable("HTTPS_PROXY"), "http://proxy:3128")
}

func TestChartEachValueOfThePodCounts(t *testing.T) {
	all := render(t, least, `
image: {pullPolicy: Always}
imagePullSecrets: [{name: pull}]
podSecurityContext: {runAsUser: 1000, supplementalGroups: [7]}
securityContext: {privileged: false}
resources: {limits: {cpu: 500m, memory: 256Mi}, requests: {cpu: 100m, memory: 64Mi}}
nodeSelector: {disk: fast}
tolerations: [{key: audit, operator: Exists}]
affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}}}
volumes: [{name: more, emptyDir: {}}]
volumeMounts: [{name: more, mountPath: /more}]
serviceAccount: {name: mine, automount: true, annotations: {a: b}}
`)
	pod := all.deployment().Spec.Template.Spec
	container := all.container()
	equal(t, "image", container.Image, "ev-handler:"+chartVersion(t))
	equal(t, "pull policy", container.ImagePullPolicy, corev1.PullAlways)
	equal(t, "pull secrets", pod.ImagePullSecrets[0].Name, "pull")
	equal(t, "user", *pod.SecurityContext.RunAsUser, int64(1000))
	equal(t, "groups", pod.SecurityContext.SupplementalGroups, []int64{7})
	equal(t, "privileged", *container.SecurityContext.Privileged, false)
	equal(t, "cpu", container.Resources.Limits.Cpu().String(), "500m")
	equal(t, "memory", container.Resources.Requests.Memory().String(), "64Mi")
	equal(t, "node", pod.NodeSelector["disk"], "fast")
	equal(t, "toleration", pod.Tolerations[0].Key, "audit")
	equal(t, "affinity", pod.Affinity.NodeAffinity != nil, true)
	equal(t, "volume", all.volume("more") != nil, true)
	equal(t, "mount", all.mount("more").MountPath, "/more")
	equal(t, "account", pod.ServiceAccountName, "mine")
	account := get[*corev1.ServiceAccount](all, "mine")
	equal(t, "token", *account.AutomountServiceAccountToken && *pod.AutomountServiceAccountToken, true)
	equal(t, "annotation", account.Annotations["a"], "b")
}

func TestChartServiceAccount(t *testing.T) {
	for _, one := range []struct {
		values, name string
		made         bool
	}{
		{"{}", fullName, true},
		{"serviceAccount: {create: false}", "default", false},
		{"serviceAccount: {create: false, name: there}", "there", false},
	} {
		all := render(t, least, one.values)
		equal(t, one.values, all.deployment().Spec.Template.Spec.ServiceAccountName, one.name)
		equal(t, one.values, has[*corev1.ServiceAccount](all), one.made)
		equal(t, one.values, *all.deployment().Spec.Template.Spec.AutomountServiceAccountToken, false)
	}
}

func TestChartNames(t *testing.T) {
	long := strings.Repeat("long-", 20)
	for _, one := range []struct{ release, values, want string }{
		{"test", "{}", fullName},
		{"our-" + chartName, "{}", "our-" + chartName},
		{"test", "nameOverride: events", "test-events"},
		{"events-2", "nameOverride: events", "events-2"},
		{"test", "fullnameOverride: exactly-this", "exactly-this"},
		{"test", "fullnameOverride: " + long + "x", strings.TrimSuffix(long[:63], "-")},
	} {
		all := decode(t, renderAs(t, one.release, least, one.values))
		equal(t, one.values, all.deployment().Name, one.want)
	}
	// What is put behind a name is never cut off, so that no two are the same.
	decode(t, renderAs(t, "test", "everything.yaml", "fullnameOverride: "+long+"x"))
}

// Where the state is written and where the volume is are the same, however the path is given.
func TestChartStateIsOnTheVolume(t *testing.T) {
	for given, want := range map[string]string{
		"./storage":   home + "/storage",
		"storage":     home + "/storage",
		"a/../state/": home + "/state",
		"/data/":      "/data",
		home + "/x":   home + "/x",
	} {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			all := render(t, least, "eventHandler: {storagePath: "+given+"}")
			equal(t, "setting", all.config()["storage"], any(want))
			equal(t, "mount", all.mount("storage").MountPath, want)
			equal(t, "read-only", all.mount("storage").ReadOnly, false)
		})
	}
}

func TestChartPersistentVolumeClaim(t *testing.T) {
	all := render(t, least)
	claim := get[*corev1.PersistentVolumeClaim](all, fullName)
	equal(t, "modes", claim.Spec.AccessModes, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce})
	equal(t, "size", claim.Spec.Resources.Requests.Storage().String(), "1Gi")
	equal(t, "class", claim.Spec.StorageClassName == nil, true)
	equal(t, "volume", all.volume("storage").PersistentVolumeClaim.ClaimName, fullName)

	all = render(t, least, "persistentVolumeClaim: {size: 5Gi, storageClassName: fast, volumeName: state}")
	claim = get[*corev1.PersistentVolumeClaim](all, fullName)
	equal(t, "size", claim.Spec.Resources.Requests.Storage().String(), "5Gi")
	equal(t, "class", *claim.Spec.StorageClassName, "fast")
	equal(t, "name of the volume", all.mount("state").MountPath, home+"/storage")
	equal(t, "name of the volume", all.volume("storage") == nil, true)
}

// The secret is a directory, which follows a new certificate; single files of it would not.
func TestChartCertificateOfFluentdFollowsItsSecret(t *testing.T) {
	all := render(t, least, "fluentd: {certificate: {caPath: a.pem, certPath: b.pem, keyPath: c.pem}}")
	mount := all.mount("certificate")
	equal(t, "place", mount.MountPath+" "+mount.SubPath, home+" ")
	var items []string
	for _, item := range all.volume("certificate").Secret.Items {
		items = append(items, item.Key+" "+item.Path)
	}
	equal(t, "files", items, []string{"a.pem ca.crt", "b.pem client.crt", "c.pem client.key"})
	for _, name := range []string{"ca", "cert", "key"} {
		path := all.config()["forward.fluentd."+name].(string)
		file := strings.TrimPrefix(path, home+"/")
		found := slices.ContainsFunc(items, func(item string) bool { return strings.HasSuffix(item, " "+file) })
		equal(t, path+" is in the volume", found, true)
	}
}

// A new configuration is a new pod, since a file that is mounted by itself never changes.
func TestChartNewConfigurationIsANewPod(t *testing.T) {
	one := render(t, least).deployment().Spec.Template
	same := render(t, least, "extraLabels: {config: {a: b}}").deployment().Spec.Template
	other := render(t, least, "eventHandler: {batch: 21}").deployment().Spec.Template
	equal(t, "the same", one.String() == same.String(), true)
	equal(t, "another", one.String() == other.String(), false)
}
