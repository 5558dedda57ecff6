module runwright.dev/local/argocd

go 1.26.1

require github.com/argoproj/argo-cd/v3 v3.5.7
