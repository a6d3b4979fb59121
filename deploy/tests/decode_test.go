package tests

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// types has the type that each kind of document is decoded into.
var types = map[string]func() metav1.Object{
	"v1/ConfigMap":                                     func() metav1.Object { return &corev1.ConfigMap{} },
	"v1/PersistentVolumeClaim":                         func() metav1.Object { return &corev1.PersistentVolumeClaim{} },
	"v1/Service":                                       func() metav1.Object { return &corev1.Service{} },
	"v1/ServiceAccount":                                func() metav1.Object { return &corev1.ServiceAccount{} },
	"apps/v1/Deployment":                               func() metav1.Object { return &appsv1.Deployment{} },
	"networking.k8s.io/v1/NetworkPolicy":               func() metav1.Object { return &networkingv1.NetworkPolicy{} },
	"policy/v1/PodDisruptionBudget":                    func() metav1.Object { return &policyv1.PodDisruptionBudget{} },
	"rbac.authorization.k8s.io/v1/Role":                func() metav1.Object { return &rbacv1.Role{} },
	"rbac.authorization.k8s.io/v1/RoleBinding":         func() metav1.Object { return &rbacv1.RoleBinding{} },
	"cert-manager.io/v1/Certificate":                   func() metav1.Object { return &certificate{} },
	"cert-manager.io/v1/Issuer":                        func() metav1.Object { return &issuer{} },
	"resources.teleport.dev/v1/TeleportRoleV8":         func() metav1.Object { return &teleportRole{} },
	"resources.teleport.dev/v1/TeleportBotV1":          func() metav1.Object { return &teleportBot{} },
	"resources.teleport.dev/v2/TeleportProvisionToken": func() metav1.Object { return &teleportToken{} },
	"monitoring.coreos.com/v1/ServiceMonitor":          func() metav1.Object { return &serviceMonitor{} },
}

type document struct {
	kind   string
	object metav1.Object
	// template is the file of the chart that it comes from.
	template string
	text     string
}

type rendered struct {
	t         *testing.T
	text      string
	documents []document
}

// decode decodes each document as the API server does: names of fields count to the letter, and
// what is unknown or there twice is an error.
func decode(t *testing.T, text string) *rendered {
	t.Helper()
	all := &rendered{t: t, text: text}
	for _, part := range strings.Split(text, "\n---\n") {
		part = strings.TrimPrefix(part, "---\n")
		asJSON, err := yaml.YAMLToJSONStrict([]byte(part))
		if err != nil {
			t.Fatalf("not YAML: %v\n%s", err, part)
		}
		var meta metav1.TypeMeta
		if err := json.UnmarshalCaseSensitivePreserveInts(asJSON, &meta); err != nil {
			t.Fatalf("%v\n%s", err, part)
		}
		if meta.Kind == "" {
			if strings.TrimSpace(string(asJSON)) != "null" {
				t.Fatalf("a document without a kind:\n%s", part)
			}
			continue
		}
		make := types[meta.APIVersion+"/"+meta.Kind]
		if make == nil {
			t.Fatalf("nobody knows %s/%s", meta.APIVersion, meta.Kind)
		}
		object := make()
		strict, err := json.UnmarshalStrict(asJSON, object)
		if err != nil || len(strict) > 0 {
			t.Fatalf("%s: %v %v\n%s", meta.Kind, err, strict, part)
		}
		template, _, _ := strings.Cut(strings.TrimPrefix(part, "# Source: "), "\n")
		all.documents = append(all.documents, document{meta.Kind, object, template, part})
	}
	all.examine()
	return all
}

// examine checks what holds for whatever is rendered.
func (all *rendered) examine() {
	t := all.t
	t.Helper()
	names := map[string]bool{}
	for _, one := range all.documents {
		name := one.object.GetName()
		if wrong := validation.IsDNS1123Label(name); len(wrong) > 0 {
			t.Errorf("%s `%s`: %v", one.kind, name, wrong)
		}
		if names[one.kind+"/"+name] {
			t.Errorf("%s `%s` is there twice", one.kind, name)
		}
		names[one.kind+"/"+name] = true
		// Whatever applies it, it lands in the namespace that it was rendered for.
		if one.object.GetNamespace() == "" {
			t.Errorf("%s `%s` has no namespace", one.kind, name)
		}
		all.examineLabels(one.kind+" "+name, one.object.GetLabels())
		if deployment, ok := one.object.(*appsv1.Deployment); ok {
			all.examineDeployment(deployment)
		}
	}
	for _, one := range all.documents {
		service, ok := one.object.(*corev1.Service)
		if !ok {
			continue
		}
		pod := all.deployment().Spec.Template
		for label, value := range service.Spec.Selector {
			if pod.Labels[label] != value {
				t.Errorf("the Service does not select the pod: %s", label)
			}
		}
		for _, port := range service.Spec.Ports {
			found := slices.ContainsFunc(pod.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool {
				return p.Name == port.TargetPort.StrVal
			})
			if !found {
				t.Errorf("the Service's port %s is no port of the pod", port.TargetPort.StrVal)
			}
		}
	}
}

func (all *rendered) examineLabels(of string, labels map[string]string) {
	t := all.t
	t.Helper()
	for _, label := range []string{
		"helm.sh/chart", "app.kubernetes.io/name", "app.kubernetes.io/instance",
		"app.kubernetes.io/version", "app.kubernetes.io/managed-by",
	} {
		if labels[label] == "" {
			t.Errorf("%s has no label %s", of, label)
		}
	}
	for label, value := range labels {
		if wrong := validation.IsValidLabelValue(value); len(wrong) > 0 {
			t.Errorf("label %s of %s: %v", label, of, wrong)
		}
	}
}

func (all *rendered) examineDeployment(deployment *appsv1.Deployment) {
	t := all.t
	t.Helper()
	pod := deployment.Spec.Template
	all.examineLabels("pod of "+deployment.Name, pod.Labels)
	if len(deployment.Spec.Selector.MatchLabels) == 0 {
		t.Errorf("%s selects everything", deployment.Name)
	}
	for label, value := range deployment.Spec.Selector.MatchLabels {
		if pod.Labels[label] != value {
			t.Errorf("%s does not select its own pods: %s", deployment.Name, label)
		}
	}
	volumes := map[string]bool{}
	for _, volume := range pod.Spec.Volumes {
		if volumes[volume.Name] {
			t.Errorf("volume %s is there twice", volume.Name)
		}
		volumes[volume.Name] = true
		if secret := volume.Secret; secret != nil && secret.SecretName == "" {
			t.Errorf("volume %s has a secret without a name", volume.Name)
		}
	}
	for _, container := range pod.Spec.Containers {
		places := map[string]bool{}
		used := map[string]bool{}
		for _, mount := range container.VolumeMounts {
			if !volumes[mount.Name] {
				t.Errorf("mount %s has no volume", mount.Name)
			}
			if !strings.HasPrefix(mount.MountPath, "/") || places[mount.MountPath] {
				t.Errorf("mount %s: place %s is relative or taken", mount.Name, mount.MountPath)
			}
			places[mount.MountPath] = true
			used[mount.Name] = true
		}
		for volume := range volumes {
			if !used[volume] {
				t.Errorf("volume %s is not mounted", volume)
			}
		}
		variables := map[string]bool{}
		for _, variable := range container.Env {
			if variables[variable.Name] {
				t.Errorf("variable %s is there twice", variable.Name)
			}
			variables[variable.Name] = true
		}
		ports := map[string]bool{}
		for _, port := range container.Ports {
			ports[port.Name] = true
		}
		for _, probe := range []*corev1.Probe{container.StartupProbe, container.LivenessProbe, container.ReadinessProbe} {
			if probe != nil && !ports[probe.HTTPGet.Port.StrVal] {
				t.Errorf("a probe asks port %s, which is not there", probe.HTTPGet.Port.StrVal)
			}
		}
	}
}

// kinds lists kind and name of the documents of one template, in the order of their names.
func (all *rendered) kinds(template string) []string {
	var kinds []string
	for _, one := range all.documents {
		if one.template == chartName+"/templates/"+template {
			kinds = append(kinds, one.kind+" "+one.object.GetName())
		}
	}
	slices.Sort(kinds)
	return kinds
}

// of gives the text of a template's documents.
func (all *rendered) of(template string) string {
	var text []string
	for _, one := range all.documents {
		if one.template == chartName+"/templates/"+template {
			text = append(text, one.text)
		}
	}
	return strings.TrimRight(strings.Join(text, "\n---\n"), "\n") + "\n"
}

// get gives the one document of a type and name.
func get[T metav1.Object](all *rendered, name string) T {
	all.t.Helper()
	for _, one := range all.documents {
		if object, ok := one.object.(T); ok && object.GetName() == name {
			return object
		}
	}
	var none T
	all.t.Fatalf("there is no %T `%s`", none, name)
	return none
}

// has says whether there is a document of this type.
func has[T metav1.Object](all *rendered) bool {
	return slices.ContainsFunc(all.documents, func(one document) bool {
		_, ok := one.object.(T)
		return ok
	})
}

// fullName is the name of the chart's resources in the release `test`.
const fullName = "test-" + chartName

// deployment gives that of the handler.
func (all *rendered) deployment() *appsv1.Deployment {
	all.t.Helper()
	for _, one := range all.documents {
		if deployment, ok := one.object.(*appsv1.Deployment); ok && strings.HasPrefix(one.template, chartName+"/templates/") {
			return deployment
		}
	}
	all.t.Fatal("there is no Deployment")
	return nil
}

func (all *rendered) container() corev1.Container {
	all.t.Helper()
	return all.deployment().Spec.Template.Spec.Containers[0]
}

func (all *rendered) volume(name string) *corev1.Volume {
	for _, volume := range all.deployment().Spec.Template.Spec.Volumes {
		if volume.Name == name {
			return &volume
		}
	}
	return nil
}

func (all *rendered) mount(name string) *corev1.VolumeMount {
	for _, mount := range all.container().VolumeMounts {
		if mount.Name == name {
			return &mount
		}
	}
	return nil
}

// variable gives the value of a variable, or what says that there is none.
func (all *rendered) variable(name string) string {
	for _, variable := range all.container().Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return "(not set)"
}

func equal(t *testing.T, what string, is, want any) {
	t.Helper()
	if a, b := fmt.Sprintf("%#v", is), fmt.Sprintf("%#v", want); a != b {
		t.Errorf("%s:\n  is   %s\n  want %s", what, a, b)
	}
}

// deployments gives all of them.
func (all *rendered) deployments() []*appsv1.Deployment {
	var found []*appsv1.Deployment
	for _, one := range all.documents {
		if deployment, ok := one.object.(*appsv1.Deployment); ok {
			found = append(found, deployment)
		}
	}
	return found
}
